"""Random histories of turns against a model of plain lists, the same for every backend.

One store serves all histories: each has a tenant of its own with two users, whose threads have
the same ids. What a history leaves is deleted at its end, for claims look across users.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chatkeep.context import RequestContext
from chatkeep.errors import ChatkeepError, ConflictError, LeaseLostError, TurnRunningError
from chatkeep.ports import EventRow, Store, TurnEnd, TurnState
from chatkeep.stores import open_store
from chatkeep.testing.store_samples import (
    asking,
    leased,
    message,
    question,
    sign,
    thread,
    turn_order,
)
from support.mongo import MongoServer
from support.postgres import PostgresServer

HISTORIES = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

USERS = st.sampled_from(["ann", "bob"])
THREADS = st.sampled_from(["thr_0", "thr_1"])
ITEMS = st.sampled_from([f"msg_{n}" for n in range(4)])
CALLS = st.sampled_from(["call_0", "call_0", "call_1"])
LATE = st.sampled_from([0, 0, 0, 1])
"""By how much a writer's fence is too old."""

_numbers = count()


@dataclass
class Work:
    """A turn as the model knows it."""

    id: str
    context: RequestContext
    thread_id: str
    state: str
    holder: str = "one"
    fence: int = 1
    touched: bool = False
    cancelled: bool = False
    doing: str | None = None
    events: list[EventRow] = field(default_factory=list)
    calls: list[list[Any]] = field(default_factory=list)
    """Of each its id, its fence, and whether it has ended."""

    @property
    def last(self) -> int:
        """The number of the last event."""
        return len(self.events)

    def more(self, rows: int) -> list[EventRow]:
        """Return the next rows of the log."""
        return [EventRow(self.last + n, self.last + n, "x") for n in range(1, rows + 1)]


class TurnMachine(RuleBasedStateMachine):
    """Each rule does one thing to the store and to the model, and compares the outcomes."""

    store: Store
    run: Callable[[Coroutine[Any, Any, Any]], Any]

    @initialize()
    def begin(self) -> None:
        """Give the history a tenant of its own, and each of its users two empty threads."""
        tenant = f"turns {next(_numbers)}"
        self.users = {user: asking(user=user, tenant=tenant) for user in ("ann", "bob")}
        self.turns: list[Work] = []
        self.items: dict[tuple[str, str], list[str]] = {}
        for user, context in self.users.items():
            for thread_id in ("thr_0", "thr_1"):
                self.run(self.store.save_thread(thread(thread_id), context))
                self.items[user, thread_id] = []

    def teardown(self) -> None:
        """Compare all there is, and delete it."""
        for turn in self.turns:
            self.same(turn)
        for context in self.users.values():
            for thread_id in ("thr_0", "thr_1"):
                self.run(self.store.delete_thread(thread_id, context))

    def outcome(self, call: Awaitable[Any]) -> Any:
        """Return a call's result, or the class of its error."""

        async def caught() -> Any:
            try:
                return await call
            except ChatkeepError as error:
                return type(error)

        return self.run(caught())

    def open(self, context: RequestContext, thread_id: str) -> list[Work]:
        """Return the turns of a thread that have not ended."""
        return [
            turn
            for turn in self.turns
            if (turn.context, turn.thread_id) == (context, thread_id)
            and turn.state in ("queued", "running")
        ]

    def items_of(self, turn: Work) -> list[str]:
        """Return the ids of the items of a turn's thread."""
        return self.items[turn.context.principal.user, turn.thread_id]

    def likely(self) -> list[Work]:
        """Return the turns that are open, and the newest ones."""
        ended = [turn for turn in self.turns if turn.state not in ("queued", "running")]
        return [turn for turn in self.turns if turn not in ended] + ended[-2:]

    @rule(
        user=USERS,
        thread_id=THREADS,
        item=st.none() | ITEMS,
        removed=st.lists(ITEMS, max_size=2),
        rows=st.integers(0, 2),
        queue=st.booleans(),
    )
    def begin_turn(
        self,
        user: str,
        thread_id: str,
        item: str | None,
        removed: list[str],
        rows: int,
        queue: bool,
    ) -> None:
        """Begin a turn, with a message that may be there, and without some items."""
        context, others = self.users[user], self.open(self.users[user], thread_id)
        turn = Work(
            f"trn_{len(self.turns):04}", context, thread_id, "queued" if others else "running"
        )
        turn.events = turn.more(rows)
        order = turn_order(
            turn.id,
            thread_id,
            message=question(item, thread_id=thread_id) if item else None,
            removed=removed,
            events=turn.events,
            queue=queue,
        )
        found = self.outcome(self.store.begin_turn(order, context))
        if others and not queue:
            assert found is TurnRunningError
            return
        assert (found.id, found.state) == (turn.id, turn.state)
        self.turns.append(turn)
        kept = self.items_of(turn)
        kept[:] = [each for each in kept if each not in removed]
        if item and item not in kept:
            kept.append(item)
        self.same(turn)

    @precondition(lambda self: self.turns)
    @rule(data=st.data(), doing=st.none() | st.just("a tool"))
    def keep(self, data: Any, doing: str | None) -> None:
        """Give signs of life of some turns, some of them with an old fence."""
        chosen = data.draw(st.lists(st.sampled_from(range(len(self.turns))), unique=True))
        signs, held = [], []
        for turn in [self.turns[n] for n in chosen]:
            fence = turn.fence - data.draw(LATE)
            rows = turn.more(data.draw(st.integers(0, 2)))
            signs.append(sign(turn.id, fence, turn.context, lease=3600, rows=rows, doing=doing))
            if turn.state == "running" and fence == turn.fence:
                held.append(turn.id)
                turn.events += rows
                turn.doing = doing
        assert self.outcome(self.store.keep_turns(signs)) == held
        for n in chosen:
            self.same(self.turns[n])

    @precondition(lambda self: self.turns)
    @rule(data=st.data(), late=LATE, item=ITEMS, remove=st.booleans())
    def write(self, data: Any, late: int, item: str, remove: bool) -> None:
        """Add or delete an item for a turn."""
        turn = data.draw(st.sampled_from(self.likely()))
        context = leased(turn.context, turn.id, turn.fence - late)
        new = message(item, thread_id=turn.thread_id)
        call = (
            self.store.delete_thread_items(turn.thread_id, [item], context)
            if remove
            else self.store.add_thread_item(turn.thread_id, new, context)
        )
        if self.holds(turn, late, self.outcome(call)):
            kept = self.items_of(turn)
            if remove and item in kept:
                kept.remove(item)
            elif not remove and item not in kept:
                kept.append(item)
        self.same(turn)

    @precondition(lambda self: self.turns)
    @rule(data=st.data(), late=LATE, call_id=CALLS, end=st.booleans())
    def call_tool(self, data: Any, late: int, call_id: str, end: bool) -> None:
        """Begin or end a tool call."""
        turn = data.draw(st.sampled_from(self.likely()))
        newest = next((call for call in reversed(turn.calls) if call[0] == call_id), None)
        fence = turn.fence - late
        if end:
            found = self.outcome(self.store.end_tool_call(turn.id, fence, call_id, turn.context))
            if found is not LeaseLostError and (newest is None or newest[1] != turn.fence):
                assert found.__name__ == "NotFoundError"
                return
            if self.holds(turn, late, found):
                assert newest is not None
                newest[2] = True
        else:
            found = self.outcome(
                self.store.begin_tool_call(turn.id, fence, call_id, "tool", turn.context)
            )
            if found is ConflictError:
                assert newest is not None
                assert newest[1] != turn.fence
                return
            if self.holds(turn, late, found):
                turn.calls.append([call_id, turn.fence, False])
        self.same(turn)

    @precondition(lambda self: self.turns)
    @rule(data=st.data(), late=LATE, item=st.none() | ITEMS, rows=st.integers(0, 2))
    def end(self, data: Any, late: int, item: str | None, rows: int) -> None:
        """End a turn, with an item and the last rows of its log."""
        turn = data.draw(st.sampled_from(self.likely()))
        ended = turn.state == "completed" and not late
        items = [message(item, thread_id=turn.thread_id)] if item else []
        end = TurnEnd(TurnState.COMPLETED, items=items, events=turn.more(rows), read=True)
        found = self.outcome(self.store.end_turn(turn.id, turn.fence - late, end, turn.context))
        if turn.state == "running" and not late:
            turn.state, turn.doing = "completed", None
            turn.events += end.events
            if item and item not in self.items_of(turn):
                self.items_of(turn).append(item)
        elif not ended:
            assert found is LeaseLostError
        self.same(turn)

    @precondition(lambda self: self.turns)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        """Ask for a turn to be stopped."""
        turn = data.draw(st.sampled_from(self.likely()))
        found = self.outcome(self.store.cancel_turn(turn.id, turn.context))
        if turn.state in ("queued", "running"):
            turn.cancelled = True
        if turn.state == "queued":
            turn.state = "cancelled"
        assert found.state == turn.state
        stopped = [each for each in self.turns if each.state == "running" and each.cancelled]
        for holder in ("one", f"two {self.tenant}"):
            told = self.outcome(self.store.stopped_turns(holder))
            assert sorted(told) == sorted(each.id for each in stopped if each.holder == holder)

    @property
    def tenant(self) -> str:
        """The history's own tenant."""
        return self.users["ann"].principal.tenant

    @rule(data=st.data())
    def claim(self, data: Any) -> None:
        """Take over a turn that its holder gave up, or the first one that waits."""
        running = [turn for turn in self.turns if turn.state == "running"]
        waiting = [
            queued[0]
            for context in self.users.values()
            for thread_id in ("thr_0", "thr_1")
            if (queued := self.open(context, thread_id)) and queued[0].state == "queued"
        ]
        if running and (turn := data.draw(st.none() | st.sampled_from(running))):
            self.run(self.store.release_turn(turn.id, turn.fence, turn.context))
            waiting = [turn]
        found = self.outcome(self.store.claim_turn(f"two {self.tenant}", 3600))
        if not waiting:
            assert found is None
            return
        (turn,) = [each for each in waiting if each.id == found.id]
        turn.state, turn.holder, turn.doing = "running", f"two {self.tenant}", None
        turn.fence += 1
        self.same(turn)

    def holds(self, turn: Work, late: int, found: Any) -> bool:
        """Say whether a write was one of the turn's holder, and check that it ended like that."""
        held = turn.state == "running" and not late
        assert found is (None if held else LeaseLostError)
        turn.touched = turn.touched or held
        return held

    def same(self, turn: Work) -> None:
        """Compare a turn, its log, its calls and its thread with the model's."""
        self.run(self._same(turn))

    async def _same(self, turn: Work) -> None:
        store, context = self.store, turn.context
        found = await store.load_turn(turn.id, context)
        assert (found.state, found.holder, found.fence, found.touched, found.doing) == (
            turn.state,
            turn.holder,
            turn.fence,
            turn.touched,
            turn.doing,
        )
        assert (found.last_event, found.cancel_requested) == (turn.last, turn.cancelled)
        assert (found.event_at is None) == (not turn.events)
        assert list(await store.load_turn_events(turn.id, 0, 99, context)) == turn.events
        calls = await store.load_tool_calls(turn.id, context)
        assert [(call.call_id, call.ended_at is not None) for call in calls] == [
            (call_id, ended) for call_id, _, ended in turn.calls
        ]
        page = await store.load_thread_items(turn.thread_id, None, 99, "asc", context)
        assert [item.id for item in page.data] == self.items_of(turn)


@pytest.fixture(params=["memory", "sqlite", "postgres", "mongodb"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of each backend."""
    match request.param:
        case "memory":
            return "memory://"
        case "sqlite":
            return f"sqlite:///{request.getfixturevalue('database')}"
        case "mongodb":
            mongo: MongoServer = request.getfixturevalue("mongo")
            return mongo.url(request.getfixturevalue("emptied_mongo"))
        case _:
            server: PostgresServer = request.getfixturevalue("postgres")
            return server.url(request.getfixturevalue("own_database"))


def test_any_history_of_turns_is_as_the_model_says(url: str) -> None:
    """Random histories, the same ones each time."""
    with asyncio.Runner() as runner:
        store = open_store(url, data_dir=Path())
        runner.run(store.open())

        class Machine(TurnMachine):
            pass

        Machine.store = store
        Machine.run = staticmethod(runner.run)
        run_state_machine_as_test(Machine, settings=HISTORIES)
        runner.run(store.aclose())
