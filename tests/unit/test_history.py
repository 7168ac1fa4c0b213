"""What the model is told: the newest that fits, oldest first."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from chatkit.types import AssistantMessageItem, ThreadItem, ThreadMetadata, UserMessageItem
from pydantic import TypeAdapter

from chatkeep.agent.convert import ItemConverter
from chatkeep.agent.history import Wanted, load_exchanges
from chatkeep.agent.shaping import shape
from chatkeep.context import Principal, RequestContext
from chatkeep.ports import Store
from chatkeep.stores import open_store

CONTEXT = RequestContext(Principal("t", "u", "test"), "req")
THREAD = ThreadMetadata(id="thr_1", created_at=datetime.now(UTC))
_ITEM: TypeAdapter[Any] = TypeAdapter(ThreadItem)


def item(kind: str, number: int, text: str) -> Any:
    """Return a message."""
    user = kind == "user_message"
    part = {"type": "input_text" if user else "output_text", "text": text}
    extra = {"inference_options": {}} if user else {}
    return _ITEM.validate_python(
        {
            "type": kind,
            "id": f"msg_{number}",
            "thread_id": "thr_1",
            "created_at": "2026-01-01T00:00:00Z",  # all at once: order is the store's business
            "content": [part],
        }
        | extra
    )


@pytest_asyncio.fixture
async def store() -> AsyncIterator[Store]:
    """A store in memory."""
    store = open_store("memory://", data_dir=Path())
    await store.open()
    yield store
    await store.aclose()


async def fill(store: Store, turns: int, size: int = 1) -> UserMessageItem:
    """Store a thread of so many turns; return its newest question."""
    await store.save_thread(THREAD, CONTEXT)
    question: UserMessageItem | None = None
    for turn in range(turns):
        question = item("user_message", 2 * turn, f"question {turn} " * size)
        await store.add_thread_item("thr_1", question, CONTEXT)
        answer: AssistantMessageItem = item("assistant_message", 2 * turn + 1, f"answer {turn}")
        if turn < turns - 1:
            await store.add_thread_item("thr_1", answer, CONTEXT)
    assert question is not None
    return question


async def texts(store: Store, newest: UserMessageItem | None, budget: int) -> list[str]:
    """Return the contents of the model input."""
    loaded = await load_exchanges(store, ItemConverter(), Wanted(THREAD, newest, budget), CONTEXT)
    found: list[Any] = shape(part for exchange in loaded.exchanges for part in exchange.input)
    return [part["content"].strip() for part in found]


@pytest.mark.parametrize("turns", [1, 2, 21, 60])
async def test_the_newest_question_comes_last(store: Store, turns: int) -> None:
    """Beyond a page of items too, everything is there once and in order."""
    question = await fill(store, turns)

    found = await texts(store, question, 1_000_000)

    expected = [text for n in range(turns) for text in (f"question {n}", f"answer {n}")][:-1]
    assert found == expected


async def test_older_items_are_left_out_beyond_the_budget(store: Store) -> None:
    """The input is cut at its beginning, never at its end."""
    question = await fill(store, 30)

    found = await texts(store, question, 200)

    assert 1 < len(found) < 20
    assert found[-1] == "question 29"
    assert found[0] != "question 0"


@pytest.mark.parametrize("budget", range(60, 260, 20))
async def test_a_question_and_its_answer_stay_together(store: Store, budget: int) -> None:
    """Whatever the budget, the input begins with a question and has its answer behind it."""
    question = await fill(store, 12, size=3)

    found = await texts(store, question, budget)

    assert found[0].startswith("question")
    assert len(found) % 2 == 1


async def test_the_newest_message_is_kept_even_when_it_is_too_long(store: Store) -> None:
    """A question larger than the budget is still asked."""
    question = await fill(store, 2, size=5_000)

    assert len(await texts(store, question, 100)) == 1


async def test_a_message_that_waited_sees_the_answers_before_it(store: Store) -> None:
    """They are stored behind it; messages that still wait are not shown."""
    await store.save_thread(THREAD, CONTEXT)
    waited = item("user_message", 1, "second")
    said: list[ThreadItem] = [
        item("user_message", 0, "first"),
        waited,
        item("user_message", 2, "third"),
        item("assistant_message", 3, "to the first"),
    ]
    for each in said:
        await store.add_thread_item("thr_1", each, CONTEXT)

    assert await texts(store, waited, 10_000) == ["first", "to the first", "second"]


async def test_going_on_without_a_message_sees_the_whole_thread(store: Store) -> None:
    """Behind a client tool's result the newest items are the end of the input."""
    await fill(store, 2)

    assert await texts(store, None, 10_000) == ["question 0", "answer 0", "question 1"]
