"""The part of the store's contract about whose data is whose."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from chatkeep.context import RequestContext
from chatkeep.errors import NotFoundError
from chatkeep.ports import Store
from chatkeep.testing.store_samples import asking, file, image, message, question, thread


class Ids(NamedTuple):
    """The ids of one call."""

    thread: str
    item: str
    attachment: str


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
}

OURS = Ids("thr_1", "msg_1", "atc_1")
UNKNOWN = Ids("thr_x", "msg_x", "atc_x")

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
            )
        ],
        await outcome(store.load_attachment("atc_1", context)),
        await outcome(store.load_attachment("atc_2", context)),
    ]


async def furnish(store: Store, context: RequestContext, mark: str) -> None:
    """Give a user a thread without title, items, attachments and feedback, all with this mark."""
    first = file("atc_1").model_copy(update={"name": mark})
    await store.save_attachment(first, context)
    await store.create_thread(
        thread("thr_1", metadata={"mark": mark}), question("msg_1", first), context
    )
    await store.save_attachment(image("atc_2", thread_id="thr_1"), context)
    await store.add_thread_item("thr_1", message("msg_2", mark), context)
    await store.add_feedback("thr_1", ["msg_1", "msg_2"], "positive", context)


@pytest.mark.asyncio
class TenancyContract:
    """What every method keeps to, whoever asks."""

    @pytest.mark.parametrize("who", FOREIGN)
    @pytest.mark.parametrize("operation", OPERATIONS)
    async def test_foreign_ids_are_unknown_ids(
        self, store: Store, operation: str, who: str
    ) -> None:
        """A call with another's ids ends like one with unknown ids, and touches nothing of his."""
        await furnish(store, ANN, "ann")
        before = await everything(store, ANN)
        call = OPERATIONS[operation]
        foreign = await outcome(call(store, OURS, FOREIGN[who]))
        nobody = asking(user="nobody", tenant="nowhere")
        unknown = await outcome(call(store, UNKNOWN, nobody))
        assert foreign == unknown
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
