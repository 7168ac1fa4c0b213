"""Long threads: what is long ago is summarised, once in many turns, and never wrongly."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from agents import Agent
from chatkit.types import HiddenContextItem, ThreadItem, ThreadMetadata, UserMessageItem
from pydantic import TypeAdapter

from chatkeep.agent.answering import Answerers
from chatkeep.agent.convert import ItemConverter
from chatkeep.agent.history import estimate_tokens
from chatkeep.agent.memory import KIND
from chatkeep.agent.recall import Recall, Recalled
from chatkeep.agent.summary import KEY, summary_of
from chatkeep.context import Principal, RequestContext
from chatkeep.errors import ModelRequestError
from chatkeep.models.catalog import Catalog, ModelEntry
from chatkeep.models.scripted import Fail, Message, ScriptedModel, Step, Text
from chatkeep.ports import Store
from chatkeep.stores import open_store

CONTEXT = RequestContext(Principal("t", "u", "test"), "req")
_ITEM: TypeAdapter[Any] = TypeAdapter(ThreadItem)
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Talk:
    """A thread that grows, and a model that writes summaries of it."""

    def __init__(self, store: Store, *, summaries: bool = True, context: int = 2_000) -> None:
        self.store = store
        self.asked: list[str] = []
        self.fails = False
        self.turns = 0
        self.entry = ModelEntry(
            id="m",
            label="M",
            description="",
            model=ScriptedModel("m", self._write),
            context_tokens=context,
            titles=True,
        )
        agent = Agent[Any](name="a", instructions="Be kind.")
        answerers = Answerers(agent, Catalog([self.entry]), is_default_agent=False)
        self._answering = answerers.choose(None, None)
        self.recall = Recall(store, ItemConverter(), summaries=summaries)

    def _write(self, messages: Sequence[Message]) -> Iterable[Step]:
        self.asked.append(messages[-1].text)
        return [Fail()] if self.fails else [Text(f"Summary number {len(self.asked)}.")]

    async def begin(self) -> None:
        """Store the thread."""
        await self.store.save_thread(ThreadMetadata(id="thr_1", created_at=_BEGIN), CONTEXT)

    async def ask(self, **fields: Any) -> UserMessageItem:
        """Store the next question."""
        self.turns += 1
        message: UserMessageItem = self._item("user_message", "input_text", "question", **fields)
        await self.store.add_thread_item("thr_1", message, CONTEXT)
        return message

    async def answer(self) -> None:
        """Store its answer."""
        item = self._item("assistant_message", "output_text", "answer")
        await self.store.add_thread_item("thr_1", item, CONTEXT)

    def _item(self, kind: str, part: str, word: str, **fields: Any) -> Any:
        number = 2 * self.turns + (word == "answer")
        base = {
            "type": kind,
            "id": f"msg_{number}",
            "thread_id": "thr_1",
            "created_at": _BEGIN + timedelta(seconds=number),
            "content": [{"type": part, "text": f"{word} {self.turns} " + "and so on " * 10}],
        }
        extra = {"inference_options": {}} if kind == "user_message" else {}
        return _ITEM.validate_python(base | extra | fields)

    async def turn(self, newest: UserMessageItem, gone: Sequence[str] = ()) -> Recalled:
        """Recall for a question, and keep what is to be kept."""
        thread = await self.store.load_thread("thr_1", CONTEXT)
        assert self._answering
        recalled = await self.recall.recall(
            thread, newest, self._answering, self.entry, CONTEXT, gone=gone
        )
        if recalled.summary is not None:
            await self.recall.keep(thread, recalled.summary, CONTEXT)
        return recalled

    async def talk(self, turns: int) -> list[Recalled]:
        """Ask and answer so many times."""
        recalled = []
        for _ in range(turns):
            recalled.append(await self.turn(await self.ask()))
            await self.answer()
        return recalled

    async def summarised(self) -> None:
        """Talk until there is a summary."""
        while not self.asked:
            await self.talk(1)
        self.asked.clear()

    async def kept(self) -> str | None:
        """Return the text of the summary that is kept."""
        found = summary_of(await self.store.load_thread("thr_1", CONTEXT))
        return found.text if found else None


def text_of(recalled: Recalled) -> str:
    """Return all that the model is told."""
    return "\n".join(part["content"] for part in recalled.input)  # type: ignore[typeddict-item, misc]


@pytest_asyncio.fixture
async def store() -> AsyncIterator[Store]:
    """A store in memory."""
    store = open_store("memory://", data_dir=Path())
    await store.open()
    yield store
    await store.aclose()


async def test_a_long_talk_is_summarised_now_and_then(store: Store) -> None:
    """The room is never exceeded, the model always knows the beginning, and is seldom asked."""
    talk = Talk(store)
    await talk.begin()

    recalled = await talk.talk(100)

    assert 3 <= len(talk.asked) <= 20
    assert all(estimate_tokens(each.input) <= 1_400 for each in recalled)
    begun = next(number for number, each in enumerate(recalled) if each.summary)
    for number, each in enumerate(recalled):
        assert ("Summary number" in text_of(each)) == (number >= begun)
        assert text_of(each).count("<Summary>") == (number >= begun)
        assert f"question {number + 1} " in text_of(each)
    assert all("Summary number" in each for each in talk.asked[1:])


async def test_nothing_is_lost_between_a_summary_and_the_rest(store: Store) -> None:
    """Each question was told as it is, or is in what a summary was made of."""
    talk = Talk(store)
    await talk.begin()

    last = (await talk.talk(60))[-1]

    told = text_of(last) + "".join(talk.asked)
    assert all(f"question {number} " in told for number in range(1, 61))


async def test_without_the_setting_nothing_is_summarised(store: Store) -> None:
    """Old items are left out."""
    talk = Talk(store, summaries=False)
    await talk.begin()

    last = (await talk.talk(40))[-1]

    assert talk.asked == []
    assert "question 1 " not in text_of(last)
    assert "question 40 " in text_of(last)


@pytest.mark.parametrize(("tenants", "wrote"), [({"t"}, "other"), ({"umbrella"}, "m")])
async def test_a_conversation_goes_to_no_model_of_other_tenants(
    store: Store, tenants: set[str], wrote: str
) -> None:
    """The model for summaries may be offered to some tenants only: others' words are not its."""
    read: list[str] = []

    def write(messages: Sequence[Message]) -> Iterable[Step]:
        read.append(messages[-1].text)
        return [Text("Summary.")]

    talk = Talk(store)
    other = replace(
        talk.entry, id="other", model=ScriptedModel("other", write), tenants=frozenset(tenants)
    )
    talk.recall = Recall(store, ItemConverter(), summaries=True, summary_model=other)
    await talk.begin()

    await talk.talk(40)

    assert bool(read) is (wrote == "other")
    assert bool(talk.asked) is (wrote == "m")


async def test_a_model_that_fails_leaves_it_at_what_fits(store: Store) -> None:
    """And holds no answer up again, until some minutes later."""
    talk = Talk(store)
    talk.fails = True
    await talk.begin()

    recalled = await talk.talk(40)

    assert len(talk.asked) == 1
    assert await talk.kept() is None
    assert all(estimate_tokens(each.input) <= 1_400 for each in recalled)
    assert "question 40 " in text_of(recalled[-1])


async def test_a_summary_is_void_when_its_last_item_is_gone(store: Store) -> None:
    """As when the user goes back and edits a message in front of it."""
    talk = Talk(store)
    await talk.begin()
    await talk.summarised()
    found = summary_of(await store.load_thread("thr_1", CONTEXT))
    assert found
    page = await store.load_thread_items("thr_1", None, 100, "asc", CONTEXT)
    behind = [item.id for item in page.data][2:]
    await store.delete_thread_items("thr_1", behind, CONTEXT)

    recalled = await talk.turn(await talk.ask())

    assert "Summary number" not in text_of(recalled)
    assert "question 1 " in text_of(recalled)


async def test_a_summary_is_void_when_its_last_item_is_another_one(store: Store) -> None:
    """An edited message has the id of the old one."""
    talk = Talk(store)
    await talk.begin()
    await talk.summarised()
    found = summary_of(await store.load_thread("thr_1", CONTEXT))
    assert found
    item = await store.load_item("thr_1", found.until, CONTEXT)
    await store.save_item("thr_1", item.model_copy(update={"created_at": _BEGIN}), CONTEXT)

    recalled = await talk.turn(await talk.ask())

    assert "question 1 " in text_of(recalled) + "".join(talk.asked)
    assert "Summary number" not in "".join(talk.asked)


async def test_a_summary_is_void_for_a_retry_of_what_is_in_front_of_it(store: Store) -> None:
    """What the answer takes the place of is not told, in no form."""
    talk = Talk(store)
    await talk.begin()
    await talk.summarised()
    first = await store.load_item("thr_1", "msg_2", CONTEXT)
    assert isinstance(first, UserMessageItem)
    page = await store.load_thread_items("thr_1", "msg_2", 100, "asc", CONTEXT)
    gone = [item.id for item in page.data]

    class Hiding:
        """The store as it looks to a turn that replaces."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def load_thread_items(self, *args: Any) -> Any:
            found = await store.load_thread_items(*args)
            found.data = [item for item in found.data if item.id not in gone]
            return found

    talk.recall._store = Hiding()  # type: ignore[assignment]
    recalled = await talk.turn(first, gone=gone)

    assert "Summary number" not in text_of(recalled)
    assert len(recalled.input) == 1


async def test_calls_of_tools_are_summarised(store: Store) -> None:
    """What a tool returned is among what the summary is made of."""
    talk = Talk(store)
    await talk.begin()
    await talk.ask()
    call = {"call_id": "call_0", "name": "find", "arguments": "{}", "output": "a red hat"}
    note = HiddenContextItem(
        id="shcx_1",
        thread_id="thr_1",
        created_at=_BEGIN,
        content={"kind": KIND, "calls": [call]},
    )
    await store.add_thread_item("thr_1", note, CONTEXT)
    await talk.answer()

    while not talk.asked:
        await talk.talk(1)

    assert "a red hat" in talk.asked[0]


async def test_what_is_in_the_metadata_of_others_is_left_alone(store: Store) -> None:
    """Integrations keep things there; what is no summary is not read as one."""
    talk = Talk(store)
    thread = ThreadMetadata(id="thr_1", created_at=_BEGIN, metadata={"theirs": 1, KEY: "nonsense"})
    await store.save_thread(thread, CONTEXT)

    await talk.summarised()

    assert (await store.load_thread("thr_1", CONTEXT)).metadata["theirs"] == 1
    assert (await talk.kept()) == "Summary number 1."


@pytest.mark.parametrize("summaries", [True, False])
async def test_a_message_that_cannot_fit_is_refused(store: Store, *, summaries: bool) -> None:
    """In words for the user, and without asking the model; the next message is answered."""
    talk = Talk(store, summaries=summaries)
    await talk.begin()
    await talk.talk(2)
    content = [{"type": "input_text", "text": "word " * 5_000}]
    long = await talk.ask(content=content)

    with pytest.raises(ModelRequestError, match="too long for the model"):
        await talk.turn(long)

    assert "question 4 " in text_of(await talk.turn(await talk.ask()))
