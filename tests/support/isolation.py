"""A walk over all operations that finds whatever lets users see or touch each other's rows."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from chatkeep.context import RequestContext
from chatkeep.errors import BudgetExceededError, NotFoundError
from chatkeep.ids import new_id
from chatkeep.ports import Budget, Hold, Period, Reservation, Scope, Store, Turn, Unit
from chatkeep.ports.spending import COUNTED, day_of
from chatkeep.stores.encoding import moment_of
from chatkeep.stores.words import owner_word
from chatkeep.testing.store_samples import MOMENT, asking, message, thread, turn_order
from chatkeep.testing.store_tenancy import (
    FOREIGN,
    OPERATIONS,
    OURS,
    UNKNOWN,
    furnish,
    outcome,
)

type Rows = dict[str, list[tuple[tuple[str, str], Any]]]
"""What a database holds: by table, each row with the tenant and owner that it names."""

RowsOf = Callable[[Store], Awaitable[Rows]]

ANN = asking()
USERS = [FOREIGN["another user"], ANN, FOREIGN["another tenant"]]
STRANGER = asking(user="bob", tenant="umbrella")
"""Shares the user's name with one of them and the tenant with another, and owns nothing."""

HELD = [("acme", "zoe"), ("umbrella", "zoe"), ("elsewhere", "ann"), ("elsewhere", "bob")]
"""Legal holds that concern none of them."""

LAST = ("delete_attachment", "delete_thread_items", "delete_thread_item", "delete_thread")


async def differences(store: Store, rows: RowsOf, names: Sequence[str]) -> AsyncGenerator[str]:
    """Yield the operations that let a user see or touch what is another's."""
    for n, context in enumerate(USERS):
        await settle(store, context, n)
    for tenant, user in HELD:
        await store.put_hold(Hold(tenant, user, "reason", MOMENT))
    for n, context in enumerate(USERS):
        if wrong := await misread(store, context, n):
            yield wrong
    if wrong := await miscalled(store) or await miscounted(store):
        yield wrong
    async for wrong in trespasses(store, rows, names):
        yield wrong
    await store.save_thread(thread(), STRANGER)
    behind = store.load_thread_items("thr_1", "msg_1", 9, "asc", STRANGER)
    if await outcome(behind) != (NotFoundError, str(NotFoundError())):
        yield "load_thread_items: continued behind another's item"
    if await begun_late(store):
        yield "begin_turn: took another's turn for the thread's last"
    async for wrong in mistakes(store, rows, names):
        yield wrong


async def settle(store: Store, context: RequestContext, number: int) -> None:
    """Give a user the same ids as the others, with marks and numbers of his own."""
    await furnish(store, context, str(context.principal))
    for n in range(number + 1):
        await store.add_thread_item("thr_1", message(f"more_{n}", forged(context)), context)
    await store.mark_read("thr_1", context)
    await store.create_share("thr_1", "shr_2", f"second of {context.principal}", None, context)
    (turn,) = [
        record
        for record in await store.read_records("turns", None, 99)
        if (record["tenant"], record["owner"]) == owner_of(context)
    ]
    await store.write_records("turns", [{**turn, "created_at": LATE}])
    if context != ANN:
        await store.write_records("tool_calls", [{**CALL, **named(context)}])


def forged(context: RequestContext) -> str:
    """Return a text of a user's with the words that lead the others' texts: anybody may write."""
    others = [other.principal for other in USERS if other != context]
    return " ".join(["what", *[owner_word(other.tenant, other.user) for other in others]])


LATE = 4_000_000_000_000
"""Later than any turn that the tests begin."""


CALL = {
    "turn_id": "trn_1",
    "seq": 5,
    "call_id": "call_1",
    "name": "tool",
    "fence": 7,
    "started_at": LATE,
    "ended_at": None,
}
"""A call of a later holder's, behind that which all users have made."""


async def miscalled(store: Store) -> str | None:
    """Return how a user's tool calls are taken for another's."""
    if not await called(store, ANN, "call_1", 2):
        return "tool calls: those of others with later ones"
    await store.write_records("tool_calls", [{**CALL, **named(ANN), "seq": 6}])
    before = await store.load_tool_calls("trn_1", ANN)
    right = [
        await called(store, context, "call_2", 6)
        and await store.load_tool_calls("trn_1", ANN) == before
        for context in USERS
        if context != ANN
    ]
    return None if all(right) else "tool calls: those of one with the same number"


async def called(store: Store, context: RequestContext, call_id: str, seq: int) -> bool:
    """Say whether a call takes this place among the user's, and has ended when it has."""
    if await outcome(store.begin_tool_call("trn_1", 1, call_id, "tool", context)) is not None:
        return False
    records = await outcome(store.read_records("tool_calls", None, 99))
    if not isinstance(records, list):
        return False
    seqs = [each["seq"] for each in records if each.items() >= named(context).items()]
    ended = await outcome(store.end_tool_call("trn_1", 1, call_id, context))
    calls = await store.load_tool_calls("trn_1", context)
    return ended is None and seqs[-1] == seq and calls[-1].ended_at is not None


async def begun_late(store: Store) -> bool:
    """Say whether a stranger's turn is placed behind those of others."""
    turn = await store.begin_turn(turn_order("trn_late"), STRANGER)
    return turn.created_at >= moment_of(LATE)


SPENT = {
    "day": day_of(moment_of(LATE)),
    "model": "gpt",
    "currency": "USD",
    **dict.fromkeys(COUNTED, 0),
}
"""What a user has spent, on the day on which new turns of these tests begin."""


async def miscounted(store: Store) -> str | None:
    """Return whose budget another one's spending is counted in."""
    # On the day of the ends below, whatever that is, all have used the same model.
    days = [day_of(datetime.now(UTC)) + more for more in (-1, 0, 1)]
    for n, context in enumerate(USERS, start=1):
        spent = {**SPENT, **named(context), "input_tokens": n, "cost": n}
        used = [{**spent, "day": day, "model": "mine"} for day in days]
        await store.write_records("spending", [spent, *used])
    for n, context in enumerate(USERS, start=1):
        # 10 are put aside for the turn that all have; the thread's turns have spent nothing.
        for scope, held, spent in ((Scope.USER, 10, n), (Scope.THREAD, 10, 0)):
            for unit in Unit:
                if await refused(store, context, Budget(scope, Period.DAY, unit, held + spent + 1)):
                    return f"{scope} {unit}: what another one has spent"
    return None


async def refused(store: Store, context: RequestContext, budget: Budget) -> bool:
    """Say whether a budget keeps a turn from beginning."""
    reserves = Reservation(0, 0, "USD", [budget])
    order = turn_order(new_id("trn"), "thr_1", queue=True, reserves=reserves)
    try:
        turn = await store.begin_turn(order, context)
    except BudgetExceededError:
        return True
    await store.cancel_turn(turn.id, context)
    return False


async def trespasses(store: Store, rows: RowsOf, names: Sequence[str]) -> AsyncIterator[str]:
    """Yield the operations with which a stranger reaches the users' rows."""
    before = owned(await rows(store), USERS)
    for name in names:
        call = OPERATIONS[name]
        nobody = asking(user=f"nobody {name}", tenant=name)
        unknown = await outcome(call(store, UNKNOWN, nobody))
        if await outcome(call(store, OURS, STRANGER)) != unknown:
            yield f"{name}: the result"
        if owned(await rows(store), USERS) != before:
            yield f"{name}: the rows"
        for row in (await store.load_threads(99, None, "asc", STRANGER)).data:
            await store.delete_thread(row.id, STRANGER)
        await store.delete_attachment("atc_1", STRANGER)


async def mistakes(store: Store, rows: RowsOf, names: Sequence[str]) -> AsyncIterator[str]:
    """Yield the operations that touch others' rows when a user with the same ids does them."""
    others = [context for context in USERS if context != ANN]
    for context in others:
        await store.title_thread("thr_1", "titled", context)
    for context in USERS:
        title = None if context == ANN else "titled"
        if len((await store.search("titled", 9, None, context)).data) != (title is not None):
            yield "search: another's title"
        if {hit.title for hit in (await store.search("what", 9, None, context)).data} != {title}:
            yield "search: the title of another's thread"
    before = owned(await rows(store), others)
    for name in last_ones_last(names):
        done = await outcome(OPERATIONS[name](store, OURS, ANN))
        if owned(await rows(store), others) != before:
            yield f"{name}: another's rows"
        if name == "end_turn" and not isinstance(done, Turn):
            yield f"{name}: a place in another's thread"


def owned(rows: Rows, users: list[RequestContext]) -> Rows:
    """Return the rows of these users."""
    owners = {owner_of(context) for context in users}
    return {name: [each for each in table if each[0] in owners] for name, table in rows.items()}


def named(context: RequestContext) -> dict[str, str]:
    """Return the fields of a record that name a user."""
    return {"tenant": context.principal.tenant, "owner": context.principal.user}


def owner_of(context: RequestContext) -> tuple[str, str]:
    """Return what names a user in the tables."""
    return context.principal.tenant, context.principal.user


async def difference(
    store: Store, rows: RowsOf, names: Sequence[str] = tuple(OPERATIONS)
) -> str | None:
    """Return the first difference that these operations make; more would only take longer."""
    async with aclosing(differences(store, rows, names)) as found:
        return await anext(found, None)


def last_ones_last(names: Sequence[str]) -> list[str]:
    """Return operations so that those come last which leave nothing to others."""
    return sorted(names, key=lambda name: LAST.index(name) if name in LAST else -1)


async def misread(store: Store, context: RequestContext, number: int) -> str | None:
    """Return the first read that does not give a user exactly what is his."""
    mark, count = str(context.principal), 3 + number
    second = message("msg_2", mark)
    shares = await store.load_shares("thr_1", context)
    shared = await store.load_shared_items(shares[-1], None, 99)
    found = await store.search("what", 99, None, context)
    right = {
        "load_item": await store.load_item("thr_1", "msg_2", context) == second,
        "load_shares": [(each.id, each.until) for each in shares]
        == [("shr_1", 2), ("shr_2", count)],
        "load_shared_items": len(shared.data) == count and second in shared.data,
        "search": len(found.data) == count - 1,
    }
    for order in ("asc", "desc"):
        threads = await store.load_threads(99, None, order, context)
        right[f"load_threads {order}"] = [row.metadata["mark"] for row in threads.data] == [mark]
        summaries = await store.load_summaries(99, None, order, context)
        marks = [row.thread.metadata["mark"] for row in summaries.data]
        right[f"load_summaries {order}"] = marks == [mark]
        plain = await store.load_summaries(99, None, order, context, previews=False)
        marks = [row.thread.metadata["mark"] for row in plain.data]
        right[f"load_summaries {order}: without previews"] = marks == [mark]
        right[f"load_summaries {order}: the message"] = [
            (row.preview, row.unread) for row in summaries.data
        ] == [(forged(context), False)]
        for include_hidden in (True, False):
            items = await store.load_thread_items(
                "thr_1", None, 99, order, context, include_hidden=include_hidden
            )
            right[f"load_thread_items {order} {include_hidden}"] = (
                len(items.data) == count and second in items.data
            )
    return next((name for name, as_it_should in right.items() if not as_it_should), None)
