"""A turn's log: numbers, joined texts, hidden events, and readers that come back."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from chatkeep.ports import EventRow
from chatkeep.turns.log import Numbered, Piece, TurnLog, read_row, rows_of
from support.waiting import PATIENCE


def delta(text: str, item_id: str = "msg_1") -> dict[str, Any]:
    """Return an event that continues a text."""
    update = {
        "type": "assistant_message.content_part.text_delta",
        "content_index": 0,
        "delta": text,
    }
    return {"type": "thread.item.updated", "item_id": item_id, "update": update}


def other(name: str = "x") -> dict[str, Any]:
    """Return an event of another kind."""
    return {"type": "notice", "level": "info", "message": name}


def add(log: TurnLog, *events: dict[str, Any]) -> None:
    """Append events to a log, as the pump does."""
    for event in events:
        update = event.get("update")
        piece = Piece(event["item_id"], 0, update["delta"]) if update else None
        log.append(to_json(event), piece)


def filled(*events: dict[str, Any]) -> TurnLog:
    """Return a log with these events, all of them shown."""
    log = TurnLog()
    add(log, *events)
    log.show()
    return log


def read(rows: list[EventRow], after: int = 0) -> list[Numbered]:
    """Return what rows hold behind a number."""
    return [event for row in rows if row.last > after for event in read_row(row, after)]


def documents(events: list[Numbered]) -> list[dict[str, Any]]:
    """Return events as they were written."""
    return [from_json(event.json) for event in events]


def parts(events: list[dict[str, Any]]) -> list[Any]:
    """Return what a reader has in the end: each text whole, and the others between them."""
    found: list[Any] = []
    for event in events:
        text = event["update"]["delta"] if "update" in event else None
        if text is None:
            found.append(event)
        elif found and isinstance(found[-1], list) and found[-1][0] == event["item_id"]:
            found[-1][1] += text
        else:
            found.append([event["item_id"], text])
    return found


EVENTS = st.lists(
    st.builds(delta, st.text(min_size=1, max_size=6), st.sampled_from(["msg_1", "msg_2"]))
    | st.builds(other, st.text(max_size=3)),
    min_size=1,
    max_size=20,
)


@given(events=EVENTS, data=st.data())
def test_a_reader_may_stop_and_go_on_anywhere(events: list[dict[str, Any]], data: Any) -> None:
    """Live events up to any number, then the stored ones behind it, are the whole turn."""
    after = data.draw(st.integers(0, len(events)), label="after")
    log = TurnLog()
    rows: list[EventRow] = []
    for event in events:
        add(log, event)
        log.show()
        if data.draw(st.booleans(), label="stored"):
            rows += [row for row in log.rows() if row not in rows]
            log.saved(log.last)
    live = documents(log.behind(0) or [])
    rows += log.rows()

    rest = read(rows, after)

    assert parts(live[:after] + documents(rest)) == parts(live) == parts(events)
    assert [row.first for row in rows] == [1, *[row.last + 1 for row in rows[:-1]]]
    assert (rest[-1].number if rest else after) == len(events)


def test_pieces_of_a_text_become_one_event() -> None:
    """A row has no more events than there are texts and others between them."""
    log = filled(other(), delta("a"), delta("b"), delta("c", "msg_2"), other(), delta("d"))

    found = read(log.rows())

    assert [event.number for event in found] == [1, 3, 4, 5, 6]
    assert from_json(found[1].json) == delta("ab")


def test_what_is_not_shown_is_not_there_for_readers_and_rows() -> None:
    """Hidden events go out with the next `show`, and are stored before only when asked for."""
    log = filled(other("1"))
    add(log, other("2"), delta("3"))

    assert [event.number for event in log.behind(0) or ()] == [1]
    assert log.rows()[-1].last == 1
    assert [event.number for event in read(log.rows(hidden=True))] == [1, 2, 3]
    # Whoever stores what is shown must not store what was only asked for with the turn's end.
    assert log.rows()[-1].last == 1
    log.show()
    assert [event.number for event in log.behind(0) or ()] == [1, 2, 3]
    assert log.rows()[-1].last == 3


def test_a_row_stays_as_it_is_until_it_is_stored() -> None:
    """It may be in the store already, when the answer to that was lost."""
    log = filled(delta("a"))
    first = log.rows()
    add(log, delta("b"))
    log.show()

    second = log.rows()

    assert second[0] == first[0]
    assert [(row.first, row.last) for row in second] == [(1, 1), (2, 2)]
    log.saved(1)
    assert log.rows() == second[1:]
    log.saved(2)
    assert log.rows() == []
    assert (log.unsaved_bytes, log.unsaved_seconds) == (0, 0)


def test_a_row_is_bounded() -> None:
    """What a reader that is far behind has to hold at once has a limit."""
    rows = filled(*[delta("x" * 1000) for _ in range(200)]).rows()

    assert max(len(row.body) for row in rows) < 40_000
    assert [row.last for row in rows[:-1]] == [row.first - 1 for row in rows[1:]]
    assert "".join(event["update"]["delta"] for event in documents(read(rows))) == "x" * 200_000


def test_what_is_stored_leaves_memory_when_it_is_much() -> None:
    """Readers that are far behind are sent to the rows; unsaved events always stay."""
    log = filled(*[other("x" * 1000) for _ in range(1000)])
    assert len(log.behind(0) or ()) == 1000
    log.rows()
    log.saved(600)

    assert log.behind(0) is None
    assert len(log.behind(600) or ()) == 400
    log.saved(1000)
    assert log.unsaved_bytes == 0
    assert log.behind(1000) == []
    assert len(log.behind(990) or ()) == 10


def test_the_opening_is_there_and_stored() -> None:
    """What was stored with the turn's beginning is shown at once, and not stored again."""
    opening = [to_json(other("1")), to_json(other("2"))]
    log = TurnLog()
    log.open(opening)

    assert [event.json for event in log.behind(0) or ()] == opening
    assert log.rows() == []
    assert [event.json for event in read(rows_of(opening))] == opening
    assert rows_of([]) == []


def test_numbers_are_left_out_behind_what_another_instance_may_have_shown() -> None:
    """The log of a turn that was taken over begins behind a gap; what is before is in rows."""
    log = TurnLog(5, gap=100)
    add(log, other("new"))
    log.show()

    assert log.behind(0) is None
    for number in (5, 30, 105):
        assert [event.number for event in log.behind(number) or ()] == [106]
    assert [(row.first, row.last) for row in log.rows()] == [(106, 106)]


async def test_a_reader_within_the_gap_waits() -> None:
    """It has seen what another instance had not stored: there is nothing for it yet."""
    log = TurnLog(5, gap=100)
    waiting = asyncio.create_task(log.wait(30, 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    assert log.behind(30) == []

    log.end()
    await waiting
    assert log.shown <= 30, "it has everything"


@pytest.mark.parametrize("number", [0, 2, 5])
def test_nothing_is_behind_the_end(number: int) -> None:
    """Also numbers that never were have nothing behind them."""
    assert len(filled(other(), other()).behind(number) or ()) == max(0, 2 - number)


async def test_all_readers_are_woken() -> None:
    """Every reader sees every event, and the end."""
    log = TurnLog()

    async def follow() -> list[int]:
        numbers: list[int] = []
        after = 0
        while True:
            await log.wait(after, PATIENCE)
            events = log.behind(after) or []
            if not events and log.ended:
                return numbers
            numbers += [event.number for event in events]
            after = numbers[-1]

    readers = [asyncio.create_task(follow()) for _ in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
        add(log, other())
        log.show()
    log.end()
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*readers) == [[1, 2, 3, 4, 5]] * 3


@pytest.mark.usefixtures("instant_time")
async def test_a_wait_ends() -> None:
    """Nothing comes: the reader gets its turn again, to say that it is alive."""
    log = filled(other())
    loop = asyncio.get_running_loop()
    began = loop.time()

    await log.wait(1, 15)

    assert loop.time() - began == pytest.approx(15)
