"""From a turn's code to its log: what is joined, what is touched first, what is held back."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from chatkit.types import (
    AssistantMessageItem,
    ErrorEvent,
    HiddenContextItem,
    ProgressUpdateEvent,
    StreamOptions,
    StreamOptionsEvent,
    ThreadStreamEvent,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from chatkeep.errors import LeaseLostError, StoreUnavailableError
from chatkeep.ports import Turn, TurnState
from chatkeep.stores import open_store
from chatkeep.testing.store_samples import MOMENT, question, thread, turn_order
from chatkeep.turns import pump as pumping
from chatkeep.turns.log import TurnLog
from chatkeep.turns.pump import Pump
from chatkeep.turns.running import RunningTurn
from support.turns import ANN, Brittle, Instance, added, done, piece, stored_items
from support.waiting import until

type Events = AsyncGenerator[ThreadStreamEvent]

OPTIONS = StreamOptionsEvent(stream_options=StreamOptions(allow_cancel=True))

TOUCHED = Turn(
    id="trn_1",
    principal=ANN.principal,
    thread_id="thr_1",
    state=TurnState.RUNNING,
    reason=None,
    request="",
    key=None,
    digest="",
    holder="one",
    fence=1,
    lease_until=None,
    cancel_requested=False,
    touched=True,
    last_event=0,
    event_at=None,
    doing=None,
    usage=None,
    created_at=MOMENT,
    ended_at=None,
)


class Rig:
    """A turn that runs, and what its log has."""

    def __init__(self, store: Brittle, running: RunningTurn, instance: Instance) -> None:
        self.store = store
        self.running = running
        self.instance = instance

    def pump(self, events: Events) -> Pump:
        """Return a pump for events."""
        return Pump(self.running, self.instance.host, events)

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The events that readers may have."""
        return documents(self.running.log)

    def finish(self, item_id: str, text: str) -> ThreadStreamEvent:
        """Finish an item as the SDK does: it is stored, then told."""
        event = done(item_id, text)
        assert self.running.draft.add("thr_1", event.item)
        return event


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """A turn of a new thread."""
    store = Brittle(open_store("memory://", data_dir=tmp_path))
    await store.open()
    instance = Instance(store.store, tmp_path)
    order = turn_order(new_thread=thread(), message=question("msg_1"))
    turn = await store.begin_turn(order, ANN)
    yield Rig(store, RunningTurn(turn, ANN, store.store, [b'{"type":"opening"}']), instance)
    await store.aclose()


def documents(log: TurnLog) -> list[dict[str, Any]]:
    """Return what readers may have of a log."""
    return [from_json(event.json) for event in log.behind(0) or ()]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Return what events are, texts as they are."""
    return [
        event["update"]["delta"] if "update" in event else event["type"].rpartition(".")[2]
        for event in events
    ]


async def test_pieces_that_come_together_are_one_event(rig: Rig) -> None:
    """What one read of the provider brought is one event; what comes later is another."""

    async def events() -> Events:
        yield added("msg_a")
        for text in ("one ", "two "):
            yield piece("msg_a", text)
        await asyncio.sleep(0)
        yield piece("msg_a", "three")
        yield added("msg_b")
        yield piece("msg_b", "four")
        yield piece("msg_a", "five")

    await rig.pump(events()).run()

    assert kinds(rig.shown) == [
        "opening",
        "added",
        "one two ",
        "three",
        "added",
        "four",
        "five",
    ]


async def test_a_piece_that_is_spoken_goes_on_with_the_text(rig: Rig) -> None:
    """Behind what came before it, as an event like the others; anything else has to be one."""
    spoken = []

    async def events() -> Events:
        spoken.append(rig.running.speak("msg_a", 0, "nothing was begun"))
        yield added("msg_a")
        spoken.append(rig.running.speak("msg_a", 0, "no text was begun"))
        yield piece("msg_a", "one \ud83d")
        spoken.append(rig.running.speak("msg_a", 0, "\ude42 "))
        spoken.append(rig.running.speak("msg_a", 0, 'two "\n\u00e9" '))
        spoken.append(rig.running.speak("msg_b", 0, "another one"))
        spoken.append(rig.running.speak("msg_a", 1, "another part"))
        yield piece("msg_a", "three")

    pump = rig.pump(events())
    assert not rig.running.speak("msg_a", 0, "nobody drives it")
    await pump.run()
    assert not rig.running.speak("msg_a", 0, "nobody drives it any more")

    assert spoken == [False, False, True, True, False, False]
    assert kinds(rig.shown) == ["opening", "added", "one \U0001f642 ", 'two "\n\u00e9" ', "three"]
    first, second = rig.shown[2:4]
    assert second == {**first, "update": {**first["update"], "delta": 'two "\n\u00e9" '}}

    item = done("msg_a", "one").item
    assert isinstance(item, AssistantMessageItem)
    rig.running.spoken.complete(item)
    assert item.content[0].text == 'one \U0001f642 two "\n\u00e9" three'


async def test_nothing_is_spoken_for_a_turn_that_was_told_to_stop(rig: Rig) -> None:
    """Its code finishes what it has; what a model says meanwhile is no part of that."""

    async def events() -> Events:
        yield piece("msg_a", "one ")
        rig.running.stop("stopped")
        assert not rig.running.speak("msg_a", 0, "two")

    await rig.pump(events()).run()

    assert kinds(rig.shown) == ["opening", "one "]


@cache
def never_opened() -> Instance:
    """Return an instance whose store is not used."""
    return Instance(open_store("memory://", data_dir=Path()), Path())


@settings(deadline=None)
@given(
    text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.just("one 😀🙂 two 😀"),
    data=st.data(),
)
def test_characters_are_never_split(text: str, data: st.DataObject) -> None:
    """A text cut between any two UTF-16 units comes out whole, without half a character."""
    encoded = text.encode("utf-16-le")
    units = [
        encoded[n : n + 2].decode("utf-16-le", "surrogatepass") for n in range(0, len(encoded), 2)
    ]
    pauses = data.draw(st.lists(st.booleans(), min_size=len(units), max_size=len(units)))

    async def run() -> TurnLog:
        # Of a turn that has been touched nothing is stored for a text.
        unused = never_opened()
        running = RunningTurn(TOUCHED, ANN, unused.store)

        async def events() -> Events:
            for unit, pause in zip(units, pauses, strict=True):
                if pause:
                    await asyncio.sleep(0)
                yield piece("msg_a", unit)

        await Pump(running, unused.host, events()).run()
        return running.log

    shown = kinds(documents(asyncio.run(run())))
    assert "".join(shown) == text
    assert not any("\ud800" <= char <= "\udfff" for each in shown for char in each)


async def test_half_a_character_without_the_other_is_replaced(rig: Rig) -> None:
    """A text may end in the middle of a character; what readers get can be encoded."""

    async def events() -> Events:
        yield piece("msg_a", "one \ud83d")
        await asyncio.sleep(0)
        yield rig.finish("msg_a", "one \ufffd")

    await rig.pump(events()).run()

    assert "".join(kinds(rig.shown)[1:]) == "one \ufffd"


async def test_the_turn_is_touched_before_anything_is_shown(rig: Rig) -> None:
    """What a restart would show twice is noted first; options for the stream are no such thing."""
    gate = rig.store.gate("touch_turn")

    async def events() -> Events:
        yield OPTIONS
        yield piece("msg_a", "text")
        yield piece("msg_a", "text")

    task = asyncio.create_task(rig.pump(events()).run())
    await until(lambda: "touch_turn" in rig.store.calls)
    assert kinds(rig.shown) == ["opening", "stream_options"]
    assert not rig.running.touched
    gate.set()
    await task

    assert kinds(rig.shown)[2:] == ["texttext"]
    assert rig.running.touched
    assert rig.store.calls.count("touch_turn") == 1
    assert (await rig.store.load_turn("trn_1", ANN)).touched


async def test_nothing_is_shown_of_a_turn_that_somebody_else_has(rig: Rig) -> None:
    """The code is told nothing and closed; readers never see what it said."""
    rig.store.errors["touch_turn"] = [LeaseLostError()]
    closed = False

    async def events() -> Events:
        nonlocal closed
        try:
            yield piece("msg_a", "text")
            yield piece("msg_a", "never asked for")
        finally:
            closed = True

    with pytest.raises(LeaseLostError):
        await rig.pump(events()).run()

    assert kinds(rig.shown) == ["opening"]
    assert closed


async def test_an_item_is_shown_as_done_when_it_is_stored(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the end of the turn; when that does not come, it is stored by itself."""
    monkeypatch.setattr(pumping, "_HOLD_SECONDS", 0)
    gate, go = rig.store.gate("add_thread_item"), asyncio.Event()

    async def events() -> Events:
        yield piece("msg_a", "text")
        yield rig.finish("msg_a", "text")
        await go.wait()

    task = asyncio.create_task(rig.pump(events()).run())
    await until(lambda: "add_thread_item" in rig.store.calls)
    assert kinds(rig.shown) == ["opening", "text"]
    gate.set()
    await until(lambda: kinds(rig.shown)[2:] == ["done"])

    assert [item.id for item in await stored_items(rig.store.real, "thr_1")] == ["msg_1", "msg_a"]
    assert rig.running.touched
    go.set()
    await task


async def test_an_item_that_is_finished_meanwhile_waits_for_its_own_turn(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one item is being stored another is finished: neither is shown before it is stored."""
    monkeypatch.setattr(pumping, "_HOLD_SECONDS", 0)
    gate, go = rig.store.gate("add_thread_item"), asyncio.Event()

    async def events() -> Events:
        yield rig.finish("msg_a", "text")
        await until(lambda: "add_thread_item" in rig.store.calls)
        yield rig.finish("msg_b", "text")
        gate.set()
        await go.wait()

    task = asyncio.create_task(rig.pump(events()).run())
    await until(lambda: len(rig.shown) > 1)
    stored = {item.id for item in await stored_items(rig.store.real, "thr_1")}
    told = {event["item"]["id"] for event in rig.shown[1:]}
    go.set()
    await task

    assert told <= stored


async def test_the_last_item_is_left_for_the_end(rig: Rig) -> None:
    """It is stored with the turn's end, and so shown then."""

    async def events() -> Events:
        yield piece("msg_a", "text")
        yield rig.finish("msg_a", "text")
        yield ProgressUpdateEvent(text="behind it")

    pump = rig.pump(events())
    await pump.run()

    assert kinds(rig.shown) == ["opening", "text"]
    assert rig.running.log.last == 4
    assert [item.id for item in rig.running.draft.items] == ["msg_a"]
    assert (pump.answered, pump.failed) == (True, False)


async def test_what_follows_an_item_has_it_stored_first(rig: Rig) -> None:
    """A text behind a finished item, also behind one that nobody is told of, waits for it."""
    note = HiddenContextItem(id="hid_1", thread_id="thr_1", created_at=MOMENT, content="note")

    async def events() -> Events:
        yield rig.finish("msg_a", "first")
        yield added("msg_b")
        yield piece("msg_b", "second")
        rig.running.draft.add("thr_1", note)  # what the host keeps to itself
        yield piece("msg_c", "third")
        stored.extend(item.id for item in await stored_items(rig.store.real, "thr_1"))

    stored: list[str] = []
    await rig.pump(events()).run()

    assert stored == ["msg_1", "msg_a", "hid_1"]
    assert kinds(rig.shown) == ["opening", "done", "added", "second", "third"]


async def test_what_nobody_is_told_of_is_stored_without_an_event(rig: Rig) -> None:
    """A model may think for a minute behind a call of a tool: the call is not lost meanwhile."""
    note = HiddenContextItem(id="hid_1", thread_id="thr_1", created_at=MOMENT, content="note")

    async def events() -> Events:
        yield added("msg_a")
        rig.running.draft.add("thr_1", note)
        await until(lambda: not rig.running.draft.items)
        stored.extend(item.id for item in await stored_items(rig.store.real, "thr_1"))

    stored: list[str] = []
    await rig.pump(events()).run()

    assert stored == ["msg_1", "hid_1"]


async def test_an_error_is_left_for_the_end(rig: Rig) -> None:
    """It is the last event, and shown when the turn has ended; what comes behind it waits, too."""

    async def events() -> Events:
        yield piece("msg_a", "text")
        yield ErrorEvent(code="custom", message="no", allow_retry=True)
        yield ProgressUpdateEvent(text="behind it")

    pump = rig.pump(events())
    await pump.run()

    assert kinds(rig.shown) == ["opening", "text"]
    assert rig.running.log.last == 4
    assert pump.failed
    assert (rig.running.state, rig.running.reason) == (TurnState.FAILED, "error")


async def test_what_cannot_be_stored_ends_the_code(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a finished item is refused is learned of with the next event, which is not shown."""
    monkeypatch.setattr(pumping, "_HOLD_SECONDS", 0)
    rig.store.errors["add_thread_item"] = [LeaseLostError()]

    async def events() -> Events:
        yield rig.finish("msg_a", "text")
        await until(lambda: "add_thread_item" in rig.store.calls)
        await asyncio.sleep(0.01)
        yield ProgressUpdateEvent(text="behind it")

    with pytest.raises(LeaseLostError):
        await rig.pump(events()).run()

    assert kinds(rig.shown) == ["opening"]


async def test_a_store_that_is_gone_for_a_moment_is_waited_for(rig: Rig) -> None:
    """Nothing is lost and nothing is shown twice."""
    rig.store.errors["touch_turn"] = [StoreUnavailableError()]
    rig.store.lost["add_thread_item"] = [StoreUnavailableError()]

    async def events() -> Events:
        yield rig.finish("msg_a", "text")
        yield added("msg_b")

    await rig.pump(events()).run()

    assert kinds(rig.shown) == ["opening", "done", "added"]
    assert [item.id for item in await stored_items(rig.store.real, "thr_1")] == ["msg_1", "msg_a"]


async def test_items_of_stopped_code_are_told(rig: Rig) -> None:
    """What code has finished when it was stopped, and could not tell any more, is told for it."""
    note = HiddenContextItem(id="hid_1", thread_id="thr_1", created_at=MOMENT, content="note")

    async def events() -> Events:
        yield rig.finish("msg_a", "told")
        rig.finish("msg_b", "not told")
        rig.running.draft.add("thr_1", note)

    pump = rig.pump(events())
    await pump.run()
    pump.tell()
    rig.running.log.show()

    assert [event["item"]["id"] for event in rig.shown[1:]] == ["msg_a", "msg_b"]
