"""What must be true whatever happened: asked of the API, and of the database itself.

The numbers are those of the list in `docs/reliability.md`.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from chatkeep.ports import TurnState
from support.cluster import Cluster
from support.paced import reply
from support.visitor import Sent, Visitor, text_of

_ENDED = {str(state) for state in TurnState} - {"queued", "running"}


@dataclass(slots=True)
class Findings:
    """What the turns of a run have become.

    Attributes:
        states: How many turns ended in each state.
        unknown: Messages that were never acknowledged, and are not there.
        lost: For each answer that was cut short, how many characters that were shown it has not.
    """

    states: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    lost: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Thread:
    items: list[dict[str, Any]]

    def answers(self, message_id: str) -> list[dict[str, Any]]:
        """Return the assistant's messages between one of the user's and the next."""
        at = next(n for n, item in enumerate(self.items) if item["id"] == message_id)
        found: list[dict[str, Any]] = []
        for item in self.items[at + 1 :]:
            if item["type"] == "user_message":
                break
            found += [item] if item["type"] == "assistant_message" else []
        return found


async def check(cluster: Cluster, visitors: Sequence[Visitor]) -> Findings:
    """Wait until every turn has ended, and check everything.

    Raises:
        AssertionError: Something is not as it must be.
    """
    await cluster.settled()  # I6, I7: there is none that runs
    findings = Findings()
    fences = await _check_rows(cluster)
    for visitor in visitors:
        threads = await _load(visitor)
        messages: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for thread_id, thread in threads.items():
            for item in thread.items:
                if item["type"] == "user_message":
                    messages[text_of(item)].append((thread_id, item["id"]))
        for text, found in messages.items():
            assert len(found) == 1, f"I2: a message came twice: {text}"
        for sent in visitor.sent:
            place = next(iter(messages[sent.text]), None)
            await _check_sent(visitor, sent, place, threads, findings)
            calls = len(cluster.provider.calls[sent.name])
            assert calls <= fences.get(sent.turn_id or "", calls), "a holder has asked twice"
    for visitor, other in pairwise([*visitors, *visitors[:1]] if len(visitors) > 1 else []):
        await _check_foreign(visitor, other)
    return findings


async def _load(visitor: Visitor) -> dict[str, _Thread]:
    """Load everything that a user has, in pages of several sizes (I8)."""
    ids = await _pages(visitor, "threads.list", 20, "desc")
    assert [each["id"] for each in ids][::-1] == [
        each["id"] for each in await _pages(visitor, "threads.list", 33, "asc")
    ]
    threads = {}
    for each in ids:
        items = await _pages(visitor, "items.list", 100, "asc", thread_id=each["id"])
        if len(items) > 2:
            again = await _pages(visitor, "items.list", 2, "desc", thread_id=each["id"])
            assert again[::-1] == items
        threads[each["id"]] = _Thread(items)
    return threads


async def _pages(
    visitor: Visitor, type: str, limit: int, order: str, **more: Any
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"has_more": True, "after": None}
    while page["has_more"]:
        page = await visitor.call(type, limit=limit, order=order, after=page["after"], **more)
        found += page["data"]
    ids = [each["id"] for each in found]
    assert len(ids) == len(set(ids))
    return found


async def _check_sent(
    visitor: Visitor,
    sent: Sent,
    place: tuple[str, str] | None,
    threads: dict[str, _Thread],
    findings: Findings,
) -> None:
    if place is None:
        assert sent.message_id is None, "I1: an acknowledged message is lost"
        findings.unknown += 1
        return
    thread_id, message_id = place
    assert sent.thread_id in (None, thread_id)
    assert sent.message_id in (None, message_id), "I1: an acknowledged message is lost"
    thread = threads[thread_id]
    answers = thread.answers(message_id)
    assert len(answers) <= 1, "I3: an answer came twice"
    answer = text_of(answers[0]) if answers else ""
    whole = reply(sent.text)
    if sent.turn_id is None:
        assert whole.startswith(answer)
        return
    state = (await visitor.turn(sent))["state"]
    findings.states[state] += 1
    assert state in _ENDED, "I6: a turn is open"
    if state == "completed":
        assert answer == whole, "I3: an answer is not what was said"
    assert whole.startswith(answer)
    _check_shown(sent, thread, state, answer, findings)


def _check_shown(sent: Sent, thread: _Thread, state: str, answer: str, findings: Findings) -> None:
    """Compare what a reader has seen with what is kept (I4, I5)."""
    kept = {item["id"]: text_of(item) for item in thread.items}
    for item_id, type_, text in sent.done:
        assert item_id in kept, f"I4: a finished {type_} is lost"
        assert kept[item_id] == text, f"I4: a finished {type_} has changed: {sent}"
    # After a takeover an item may be told of again, as the same.
    told = list(dict.fromkeys(item_id for item_id, _, _ in sent.done))
    assert [each for each in kept if each in told] == told, "I4: items have changed their order"
    assert len([1 for shown in sent.shown.values() if shown]) <= 1
    streamed = sent.streamed
    assert reply(sent.text).startswith(streamed), "I5: something was shown that was not said"
    if sent.ended and state == "completed":
        assert sent.error is None
        assert streamed == answer, "I5: what was streamed is not what is kept"
    elif state == "completed":
        assert answer.startswith(streamed)
    elif state == "interrupted":
        findings.lost.append(max(0, len(streamed) - len(answer)))
    if sent.ended:
        assert (sent.error is not None) == (state in ("failed", "interrupted")), (state, sent.error)


async def _check_rows(cluster: Cluster) -> dict[str, int]:
    """Look into the tables; return the fence of each turn."""
    doubled = "SELECT count(*) - count(DISTINCT id) FROM items"
    assert await cluster.number(doubled) == 0, "I3: an id came twice"
    last: dict[str, int] = {}
    query = "SELECT turn_id, first, last FROM turn_events ORDER BY turn_id, first"
    for turn_id, first, end in await cluster.rows(query):
        assert last.get(turn_id, 0) < first <= end, "rows of a log overlap"
        last[turn_id] = end
    fences = {}
    for turn_id, number, fence, request in await cluster.rows(
        "SELECT id, last_event, fence, request FROM turns"
    ):
        assert last.get(turn_id, number) == number
        assert request == "", "an ended turn has kept its request"
        fences[turn_id] = fence
    return fences


async def _check_foreign(visitor: Visitor, other: Visitor) -> None:
    """Ask for what is somebody else's (I9)."""
    sent = next((each for each in other.sent if each.turn_id and each.thread_id), None)
    if sent is None:
        return
    for method, path in (
        ("GET", f"chatkit/turns/{sent.turn_id}"),
        ("GET", f"chatkit/turns/{sent.turn_id}/events"),
        ("GET", f"chatkit/threads/{sent.thread_id}/events"),
        ("GET", f"chatkit/threads/{sent.thread_id}/turn"),
        ("POST", f"chatkit/turns/{sent.turn_id}/cancel"),
    ):
        response = await visitor.ask(method, path)
        assert response.status_code == 404, (method, path, response.status_code)
    request = {"type": "items.list", "params": {"thread_id": sent.thread_id}}
    response = await visitor.ask("POST", "chatkit", json=request)
    assert response.status_code == 404
