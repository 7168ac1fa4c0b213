"""The part of the store's contract about whose data is whose."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from chatkit.types import ThreadMetadata
from pydantic import BaseModel

from chatkeep.context import RequestContext
from chatkeep.errors import NotFoundError
from chatkeep.ports import (
    Budget,
    EventRow,
    Period,
    Record,
    Reservation,
    Scope,
    Share,
    Spent,
    Store,
    TurnEnd,
    TurnState,
    Unit,
)
from chatkeep.ports.spending import COUNTED
from chatkeep.testing.store_samples import (
    MOMENT,
    asking,
    file,
    hidden,
    image,
    leased,
    message,
    question,
    sign,
    thread,
    turn_order,
)


class Ids(NamedTuple):
    """The ids of one call."""

    thread: str
    item: str
    attachment: str
    image: str
    share: str
    turn: str


def _rename(changed: ThreadMetadata) -> None:
    changed.title = "mine"


def _shared(at: Ids, context: RequestContext) -> Share:
    return Share(at.share, context.principal, at.thread, 9, MOMENT, None)


EVERY_BUDGET = [
    Budget(scope, period, unit, 1_000)
    for scope in Scope
    for period in Period
    for unit in Unit
    if scope is not Scope.TENANT
]
"""Each of a user's, with room for what these tests do."""

Operation = Callable[[Store, Ids, RequestContext], Awaitable[Any]]

OPERATIONS: dict[str, Operation] = {
    "load_thread": lambda s, at, c: s.load_thread(at.thread, c),
    "save_thread": lambda s, at, c: s.save_thread(thread(at.thread, title="mine"), c),
    "load_threads": lambda s, _, c: s.load_threads(9, None, "asc", c),
    "load_threads after": lambda s, at, c: s.load_threads(9, at.thread, "asc", c),
    "delete_thread": lambda s, at, c: s.delete_thread(at.thread, c),
    "create_thread": lambda s, at, c: s.create_thread(thread(at.thread), question(at.item), c),
    "create_thread with attachment": lambda s, at, c: s.create_thread(
        thread("thr_new"), question("msg_new", file(at.attachment)), c
    ),
    "title_thread": lambda s, at, c: s.title_thread(at.thread, "mine", c),
    "load_thread_items": lambda s, at, c: s.load_thread_items(at.thread, None, 9, "asc", c),
    "load_thread_items after": lambda s, at, c: s.load_thread_items(
        at.thread, at.item, 9, "asc", c
    ),
    "add_thread_item": lambda s, at, c: s.add_thread_item(at.thread, message(at.item, "x"), c),
    "save_item": lambda s, at, c: s.save_item(at.thread, message(at.item, "x"), c),
    "load_item": lambda s, at, c: s.load_item(at.thread, at.item, c),
    "delete_thread_item": lambda s, at, c: s.delete_thread_item(at.thread, at.item, c),
    "delete_thread_items": lambda s, at, c: s.delete_thread_items(at.thread, [at.item], c),
    "save_attachment": lambda s, at, c: s.save_attachment(
        file(at.attachment, thread_id=at.thread), c
    ),
    "load_attachment": lambda s, at, c: s.load_attachment(at.attachment, c),
    "delete_attachment": lambda s, at, c: s.delete_attachment(at.attachment, c),
    "add_feedback": lambda s, at, c: s.add_feedback(at.thread, [at.item], "negative", c),
    "load_feedback": lambda s, at, c: s.load_feedback(at.thread, c),
    "add_thread_item of the user": lambda s, at, c: s.add_thread_item(
        at.thread, question(at.item), c
    ),
    "save_item hidden": lambda s, at, c: s.save_item(at.thread, hidden(at.item), c),
    "change_thread": lambda s, at, c: s.change_thread(at.thread, _rename, c),
    "load_summaries": lambda s, _, c: s.load_summaries(9, None, "desc", c),
    "load_summaries after": lambda s, at, c: s.load_summaries(9, at.thread, "asc", c),
    "archive_thread": lambda s, at, c: s.archive_thread(at.thread, True, c),
    "mark_read": lambda s, at, c: s.mark_read(at.thread, c),
    "search": lambda s, _, c: s.search("what", 9, None, c),
    "bind_attachment": lambda s, at, c: s.bind_attachment(at.attachment, at.thread, c),
    "replace_attachment": lambda s, at, c: s.replace_attachment(
        image(at.image), image(at.image).model_copy(update={"name": "mine"}), c
    ),
    "create_share": lambda s, at, c: s.create_share(
        at.thread, "shr_new", f"new {c.principal}", None, c
    ),
    "load_shares": lambda s, at, c: s.load_shares(at.thread, c),
    "load_shared_items": lambda s, at, c: s.load_shared_items(_shared(at, c), None, 9),
    "delete_share": lambda s, at, c: s.delete_share(at.share, c),
    "begin_turn": lambda s, at, c: s.begin_turn(turn_order("trn_new", at.thread, queue=True), c),
    "begin_turn with all": lambda s, at, c: s.begin_turn(
        turn_order(
            "trn_new",
            at.thread,
            queue=True,
            message=question(at.item, text="mine"),
            removed=["msg_2"],
            events=[EventRow(1, 1, "mine")],
        ),
        c,
    ),
    "begin_turn again": lambda s, at, c: s.begin_turn(
        turn_order("trn_new", at.thread, key="key_1"), c
    ),
    "load_turn": lambda s, at, c: s.load_turn(at.turn, c),
    "load_thread_turn": lambda s, at, c: s.load_thread_turn(at.thread, c),
    "load_thread_turns": lambda s, at, c: s.load_thread_turns(at.thread, MOMENT, 9, c),
    "find_turn": lambda s, _, c: s.find_turn("key_1", c),
    "touch_turn": lambda s, at, c: s.touch_turn(at.turn, 1, c),
    "release_turn": lambda s, at, c: s.release_turn(at.turn, 1, c),
    "keep_turns": lambda s, at, c: s.keep_turns(
        [sign(at.turn, 1, c, lease=9, rows=[EventRow(3, 3, "mine")], doing="mine")]
    ),
    "reserve_turn": lambda s, at, c: s.reserve_turn(
        at.turn, 1, Reservation(11, 11, "USD", EVERY_BUDGET), (1, 1), c
    ),
    "begin_turn within budgets": lambda s, at, c: s.begin_turn(
        turn_order(
            "trn_new",
            at.thread,
            queue=True,
            reserves=Reservation(3, 3, "USD", EVERY_BUDGET),
        ),
        c,
    ),
    "begin_tool_call": lambda s, at, c: s.begin_tool_call(at.turn, 1, "call_1", "mine", c),
    "end_tool_call": lambda s, at, c: s.end_tool_call(at.turn, 1, "call_1", c),
    "load_tool_calls": lambda s, at, c: s.load_tool_calls(at.turn, c),
    "add_thread_item with a lease": lambda s, at, c: s.add_thread_item(
        at.thread, message(at.item, "x"), leased(c, at.turn)
    ),
    "save_thread with a lease": lambda s, at, c: s.save_thread(
        thread(at.thread, title="mine"), leased(c, at.turn)
    ),
    "mark_read with a lease": lambda s, at, c: s.mark_read(at.thread, leased(c, at.turn)),
    "load_turn_events": lambda s, at, c: s.load_turn_events(at.turn, 0, 9, c),
    "cancel_turn": lambda s, at, c: s.cancel_turn(at.turn, c),
    "end_turn": lambda s, at, c: s.end_turn(
        at.turn,
        1,
        TurnEnd(
            TurnState.COMPLETED,
            items=[message("msg_9")],
            spent=[Spent("mine", "USD", 1, 2, 3, 4, 5, 6, 7)],
        ),
        c,
    ),
    "end_turn with all": lambda s, at, c: s.end_turn(
        at.turn,
        1,
        TurnEnd(
            TurnState.COMPLETED,
            removed=[at.item],
            events=[EventRow(3, 3, "mine")],
            read=True,
        ),
        c,
    ),
    "end_turn without items": lambda s, at, c: s.end_turn(at.turn, 1, TurnEnd(TurnState.FAILED), c),
}
"""Everything that a user can ask for, with any ids. Each leaves a turn that it meets at fence 1."""

OURS = Ids("thr_1", "msg_1", "atc_1", "atc_2", "shr_1", "trn_1")
UNKNOWN = Ids("thr_x", "msg_x", "atc_x", "atc_y", "shr_x", "trn_x")

FOREIGN = {
    "another user": asking(user="bob"),
    "another tenant": asking(tenant="umbrella"),
    # A key made by gluing tenant and user together would take these two for `acme`, `ann`.
    "a longer tenant": asking(tenant="acmea", user="nn"),
    "a longer user": asking(tenant="acm", user="eann"),
}

ANN = asking()


async def outcome(call: Awaitable[Any]) -> Any:
    """Return what a caller can see of a call: its result, or the kind and text of its error."""
    try:
        result = await call
    except Exception as error:  # noqa: BLE001 - whatever it raises is the outcome
        return type(error), str(error)
    return result.model_dump() if isinstance(result, BaseModel) else result


async def everything(store: Store, context: RequestContext) -> list[object]:
    """Return all that a user can see of the ids that these tests use."""
    threads = await store.load_threads(99, None, "asc", context)
    return [
        threads.model_dump(),
        *[
            await outcome(call)
            for row in threads.data
            for call in (
                store.load_thread_items(row.id, None, 99, "asc", context),
                store.load_feedback(row.id, context),
                store.load_shares(row.id, context),
                store.load_thread_turn(row.id, context),
                store.load_thread_turns(row.id, MOMENT, 9, context),
            )
        ],
        *[
            await store.load_summaries(99, None, "desc", context, archived=archived)
            for archived in (False, True)
        ],
        await store.search("what", 99, None, context),
        await outcome(store.load_turn_events("trn_1", 0, 99, context)),
        await outcome(store.load_tool_calls("trn_1", context)),
        await outcome(store.load_attachment("atc_1", context)),
        await outcome(store.load_attachment("atc_2", context)),
    ]


async def furnish(store: Store, context: RequestContext, mark: str) -> None:
    """Give a user one of everything, with this mark; the thread has no title."""
    first = file("atc_1").model_copy(update={"name": mark})
    await store.save_attachment(first, context)
    await store.create_thread(
        thread("thr_1", metadata={"mark": mark}), question("msg_1", first), context
    )
    await store.save_attachment(image("atc_2", thread_id="thr_1"), context)
    await store.add_thread_item("thr_1", message("msg_2", mark), context)
    await store.add_feedback("thr_1", ["msg_1", "msg_2"], "positive", context)
    await store.create_share("thr_1", "shr_1", f"digest of {context.principal}", None, context)
    reserves = Reservation(10, 10, "USD")
    order = turn_order("trn_1", "thr_1", key="key_1", request=json.dumps(mark), reserves=reserves)
    await store.begin_turn(order, context)
    await store.keep_turns([sign("trn_1", 1, context, rows=[EventRow(1, 2, mark)], doing=mark)])
    await store.begin_tool_call("trn_1", 1, "call_1", mark, context)
    whose = {"tenant": context.principal.tenant, "owner": context.principal.user}
    spent: Record = {"day": 20_000, "model": mark, "currency": "USD", **dict.fromkeys(COUNTED, 1)}
    await store.write_records("spending", [{**whose, **spent}])


@pytest.mark.asyncio
class TenancyContract:
    """What every method keeps to, whoever asks."""

    @pytest.mark.parametrize("operation", OPERATIONS)
    async def test_foreign_ids_are_unknown_ids(self, store: Store, operation: str) -> None:
        """A call with another's ids ends like one with unknown ids, and touches nothing of his."""
        await furnish(store, ANN, "ann")
        before = await everything(store, ANN)
        call = OPERATIONS[operation]
        unknown = await outcome(call(store, UNKNOWN, asking(user="nobody", tenant="nowhere")))
        for who, context in FOREIGN.items():
            assert await outcome(call(store, OURS, context)) == unknown, who
        assert await everything(store, ANN) == before

    @pytest.mark.parametrize("operation", OPERATIONS)
    async def test_the_same_ids_never_mix(self, store: Store, operation: str) -> None:
        """Users with the same ids for everything have their own rows, whatever one of them does."""
        for who, context in FOREIGN.items():
            await furnish(store, context, who)
        await furnish(store, ANN, "ann")
        before = [await everything(store, context) for context in FOREIGN.values()]
        await outcome(OPERATIONS[operation](store, OURS, ANN))
        assert [await everything(store, context) for context in FOREIGN.values()] == before

    async def test_a_user_sees_what_he_stored(self, store: Store) -> None:
        """With the same ids for everything, each user reads his own rows."""
        for who, context in FOREIGN.items():
            await furnish(store, context, who)
        for who, context in FOREIGN.items():
            assert (await store.load_thread("thr_1", context)).metadata == {"mark": who}
            assert await store.load_item("thr_1", "msg_2", context) == message("msg_2", who)
            assert (await store.load_attachment("atc_1", context)).name == who

    async def test_a_foreign_cursor_is_unknown(self, store: Store) -> None:
        """A cursor that another user got for a thread of the same id is refused."""
        bob = FOREIGN["another user"]
        await furnish(store, ANN, "ann")
        await furnish(store, bob, "bob")
        page = await store.load_thread_items("thr_1", None, 1, "asc", bob)
        assert page.after is not None
        ours = await outcome(store.load_thread_items("thr_1", page.after, 1, "asc", ANN))
        unknown = await outcome(store.load_thread_items("thr_1", "msg_x", 1, "asc", ANN))
        assert ours == unknown

    @pytest.mark.parametrize("who", FOREIGN)
    async def test_a_foreign_item_is_no_cursor(self, store: Store, who: str) -> None:
        """In a thread of one's own, another's item in a thread of that id is unknown."""
        await furnish(store, ANN, "ann")
        await store.save_thread(thread(), FOREIGN[who])
        with pytest.raises(NotFoundError):
            await store.load_thread_items("thr_1", "msg_1", 9, "asc", FOREIGN[who])

    async def test_the_scheme_does_not_matter(self, store: Store) -> None:
        """A user is a user, however the identity was proven."""
        await store.save_thread(thread(), ANN)
        other = type(ANN.principal)(ANN.principal.tenant, ANN.principal.user, "another")
        context = RequestContext(other, request_id="req_2")
        assert await store.load_thread("thr_1", context) == thread()
