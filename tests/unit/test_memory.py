"""What is remembered of a step's calls, and when it is complete."""

from chatkit.types import HiddenContextItem

from chatkeep.agent.memory import (
    MAX_ARGUMENTS,
    MAX_CALLS,
    MAX_OUTPUT,
    ToolMemory,
    remembered,
)
from chatkeep.ids import call_id_of


def new_memory() -> ToolMemory:
    """Return a memory."""
    return ToolMemory("thr_1", lambda kind: f"{kind}_1")


def outputs(item: HiddenContextItem | None) -> list[tuple[str, str | None]]:
    """Return the names and outputs of the calls of an item."""
    assert item is not None
    return [(call.name, call.output) for call in remembered(item.content) or []]


def test_a_step_is_complete_when_its_last_output_was_told() -> None:
    """The calls are in the order in which they began, not in that of their ends."""
    memory = new_memory()
    memory.next_step()
    for name in ("a", "b"):
        memory.begin(f"call_{name}", name, "{}")
    memory.end("call_b", "second")

    assert memory.told("call_b", "second") is None
    item = memory.told("call_a", "first")

    assert outputs(item) == [("a", "first"), ("b", "second")]
    assert memory.take() is None


def test_the_run_may_be_a_step_ahead_of_its_events() -> None:
    """Providers that call every first call `call_0` do not mix two steps up."""
    memory = new_memory()
    memory.next_step()
    memory.begin("call_0", "a", "{}")
    memory.end("call_0", "first")
    memory.next_step()
    memory.begin("call_0", "b", "{}")
    memory.end("call_0", "second")

    assert outputs(memory.told("call_0", "first")) == [("a", "first")]
    assert outputs(memory.told("call_0", "second")) == [("b", "second")]


def test_what_was_cut_off() -> None:
    """A call that ended has its output, though the model was never told; another has none."""
    memory = new_memory()
    memory.begin("1", "ended", "{}")
    memory.begin("2", "running", "{}")
    memory.end("1", {"type": "text", "text": "done"})

    assert outputs(memory.take()) == [("ended", "done"), ("running", None)]


def test_what_is_kept_is_bounded() -> None:
    """Neither a long output nor many calls fill the database."""
    memory = new_memory()
    for number in range(MAX_CALLS + 5):
        memory.begin(str(number), f"tool_{number}", "x" * 100_000)
        memory.end(str(number), "y" * 100_000)

    item = memory.take()

    assert item is not None
    calls = remembered(item.content) or []
    assert [call.name for call in calls] == [f"tool_{n}" for n in range(5, MAX_CALLS + 5)]
    assert all(len(call.arguments) < MAX_ARGUMENTS + 10 for call in calls)
    assert all(len(call.output or "") < MAX_OUTPUT + 10 for call in calls)


def test_images_and_files_are_named_only() -> None:
    """Bytes of what a tool returned are not kept."""
    memory = new_memory()
    memory.begin("1", "draw", "{}")

    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    item = memory.told("1", [{"type": "input_text", "text": "Here:"}, image])

    assert outputs(item) == [("draw", "Here:\n[image]")]


def test_what_cannot_be_stored_is_replaced() -> None:
    """A tool that returns broken text does not cost the turn that it was called in."""
    memory = new_memory()
    memory.begin("1", "read", '{"a": "\ud83d"}')
    item = memory.told("1", "half \ud83d and \0")

    assert item is not None
    assert item.model_dump_json()
    assert outputs(item) == [("read", "half \ufffd and \ufffd")]


def test_a_call_that_is_the_clients_is_left_out() -> None:
    """It is an item of its own, which gets the client's answer."""
    memory = new_memory()
    memory.begin("1", "pick", "{}")
    memory.forget("1")

    assert memory.told("1", "asked") is None
    assert memory.take() is None


def test_ids_suit_every_provider() -> None:
    """Nine letters and digits, others for another call, the same for the same one."""
    made = {call_id_of("item", str(number)) for number in range(100)}

    assert len(made) == 100
    assert all(len(each) == 9 and each.isalnum() and each.isascii() for each in made)
    assert call_id_of("item", "1") in made
