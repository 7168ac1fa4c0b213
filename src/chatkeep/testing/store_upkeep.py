"""The part of the store's contract about operators: records, erasing, legal holds, ages."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from chatkeep.context import Principal
from chatkeep.errors import ConflictError, HeldError, NotFoundError
from chatkeep.ports import EventRow, Hold, Record, Store, TurnEnd, TurnState
from chatkeep.ports.upkeep import KEYS, TABLES
from chatkeep.testing.store_pages import item_ids, thread_ids
from chatkeep.testing.store_samples import (
    MOMENT,
    asking,
    every_item,
    file,
    hidden,
    image,
    message,
    question,
    sign,
    thread,
    turn_order,
)
from chatkeep.testing.store_tenancy import everything, furnish

ANN, BOB, ZOE = asking(), asking(user="bob"), asking(tenant="umbrella", user="zoe")
USERS = (ANN, BOB, ZOE)

PAST, FAR = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

ONE_OF_EVERYTHING = {
    "owners": 1,
    "threads": 1,
    "items": 2,
    "attachments": 2,
    "feedback": 2,
    "shares": 1,
    "turns": 1,
    "turn_events": 1,
    "tool_calls": 1,
    "spending": 1,
}
"""What `furnish` gives a user, as a receipt has it."""


async def records(store: Store, table: str, limit: int = 100) -> list[Record]:
    """Return all records of a table, page by page."""
    found: list[Record] = []
    after = None
    while page := await store.read_records(table, after, limit):
        assert len(page) <= limit
        found += page
        after = {name: page[-1][name] for name in KEYS[table]}
    return found


async def all_records(store: Store) -> dict[str, list[Record]]:
    """Return everything that would be copied."""
    return {table: await records(store, table) for table in TABLES}


async def seen(store: Store, *users: Any) -> list[object]:
    """Return all that users see."""
    return [await everything(store, context) for context in users]


def names(users: Any) -> list[tuple[str, str]]:
    """Return tenant and name of each."""
    return [(user.tenant, user.user) for user in users]


async def held(call: Awaitable[Any]) -> None:
    """Check that a legal hold forbids it."""
    with pytest.raises(HeldError):
        await call


def hold(tenant: str, user: str | None = None, reason: str = "case 7") -> Hold:
    """Return a legal hold."""
    return Hold(tenant, user, reason, MOMENT.replace(microsecond=123000))


def deletions(store: Store, context: Any) -> list[Callable[[], Awaitable[Any]]]:
    """Return all that deletes something of a user's."""
    return [
        lambda: store.delete_thread("thr_1", context),
        lambda: store.delete_thread_item("thr_1", "msg_1", context),
        lambda: store.delete_thread_items("thr_1", ["msg_1"], context),
        lambda: store.delete_attachment("atc_1", context),
        lambda: store.erase(context.principal.tenant, context.principal.user),
        lambda: store.erase(context.principal.tenant, None),
        lambda: store.end_turn(
            "trn_1", 1, TurnEnd(TurnState.COMPLETED, removed=["msg_2"]), context
        ),
    ]


@pytest.mark.asyncio
class UpkeepContract:
    """What operators do, across users."""

    async def test_records_make_an_equal_store(self, store: Store, second_store: Store) -> None:
        """Written into an empty store they give the same reads, searching and turns included."""
        for context in USERS:
            await furnish(store, context, f"mark\0 of {context.principal.user}")
            for item in every_item():
                await store.add_thread_item("thr_1", item, context)
        await store.add_thread_item("thr_1", hidden("secret"), ANN)
        await store.change_thread("thr_1", lambda changed: setattr(changed, "title", "Köln\0"), ANN)
        await store.archive_thread("thr_1", True, ANN)
        await store.save_attachment(file("atc_loose"), BOB)
        await store.put_hold(hold("acme", "carl"))
        await store.put_hold(hold("other\0"))
        before = await all_records(store)
        assert all(before.values())
        for table in TABLES:
            for _ in range(2):
                await second_store.write_records(table, before[table])
        assert await all_records(second_store) == before
        assert await seen(second_store, *USERS) == await seen(store, *USERS)
        assert await second_store.load_holds() == await store.load_holds()
        for text in ("koln", "first", "mark", "hidden"):
            pages = [await each.search(text, 99, None, ANN) for each in (store, second_store)]
            found = [{(hit.item_id, hit.snippet) for hit in page.data} for page in pages]
            assert found[0] == found[1]
            assert bool(found[0]) == (text != "hidden")
        for each in (store, second_store):
            await each.add_thread_item("thr_1", question("new"), ANN)
            await each.save_thread(thread("thr_new"), ANN)
        assert await item_ids(second_store) == await item_ids(store)
        assert await thread_ids(second_store) == ["thr_1", "thr_new"]

    async def test_records_are_read_in_pages(self, store: Store) -> None:
        """Whatever the limit, each record comes once, in one order; they are plain values."""
        for context in USERS:
            await furnish(store, context, "mark")
        for table, there in (await all_records(store)).items():
            assert table == "holds" or there
            values = [value for record in there for value in record.values()]
            assert {type(value) for value in values} <= {str, int, bool, type(None)}
            for limit in (1, 2, 5):
                assert await records(store, table, limit) == there

    async def test_records_replace_records(self, store: Store) -> None:
        """One with the same key is overwritten, and found by its new words only."""
        await store.save_thread(thread(title="apple"), ANN)
        await store.add_thread_item("thr_1", message("msg_1", "apple"), ANN)
        for table, old, new in (("threads", "title", "pear"), ("items", "body", None)):
            (record,) = await records(store, table)
            value = new or str(record["body"]).replace("apple", "pear")
            await store.write_records(table, [{**record, old: value}])
        await store.write_records("items", [])
        assert await store.load_thread("thr_1", ANN) == thread(title="pear")
        assert await store.load_item("thr_1", "msg_1", ANN) == message("msg_1", "pear")
        found = [len((await store.search(text, 9, None, ANN)).data) for text in ("apple", "pear")]
        assert found == [0, 2]

    async def test_an_unknown_table_is_refused(self, store: Store) -> None:
        """Also one that the database has."""
        for table in ("texts", "alembic_version", "", "items; DROP TABLE items"):
            with pytest.raises(ValueError, match="table"):
                await store.read_records(table, None, 9)
            with pytest.raises(ValueError, match="table"):
                await store.write_records(table, [])

    async def test_users_and_tenants_are_listed(self, store: Store) -> None:
        """By name, of one tenant or of all, behind a user."""
        assert await store.load_users(None, None, 9) == []
        assert await store.load_tenants() == []
        for user, tenant in (("b", "two"), ("a", "two"), ("c", "one"), ("a", "one")):
            await store.save_thread(thread(), asking(user, tenant))
        everybody = [("one", "a"), ("one", "c"), ("two", "a"), ("two", "b")]
        assert names(await store.load_users(None, None, 9)) == everybody
        assert names(await store.load_users(None, None, 3)) == everybody[:3]
        after = Principal("one", "c", "test")
        assert names(await store.load_users(None, after, 9)) == everybody[2:]
        assert names(await store.load_users("one", None, 9)) == everybody[:2]
        assert names(await store.load_users("one", Principal("one", "a", ""), 9)) == everybody[1:2]
        assert await store.load_users("three", None, 9) == []
        assert await store.load_tenants() == ["one", "two"]

    async def test_a_user_is_erased(self, store: Store) -> None:
        """Nothing is left of them, the receipt says what there was, and others keep theirs."""
        for context in USERS:
            await furnish(store, context, "mark")
        others = await seen(store, BOB, ZOE)
        assert await store.erase("acme", "ann") == ONE_OF_EVERYTHING
        assert await seen(store, BOB, ZOE) == others
        for table, left in (await all_records(store)).items():
            assert not [each for each in left if (each["tenant"], each["owner"]) == ("acme", "ann")]
            assert table == "holds" or left
        assert await store.erase("acme", "ann") == dict.fromkeys(ONE_OF_EVERYTHING, 0)
        await store.scrub()
        await furnish(store, ANN, "new")
        assert len((await store.search("new", 9, None, ANN)).data) == 1
        assert (await store.search("mark", 9, None, ANN)).data == []

    async def test_a_tenant_is_erased(self, store: Store) -> None:
        """All of its users; other tenants keep theirs."""
        for context in USERS:
            await furnish(store, context, "mark")
        others = await seen(store, ZOE)
        receipt = await store.erase("acme", None)
        assert receipt == {table: 2 * count for table, count in ONE_OF_EVERYTHING.items()}
        assert await seen(store, ZOE) == others
        assert await store.load_tenants() == ["umbrella"]

    async def test_much_is_erased(self, store: Store) -> None:
        """The receipt is exact for more than any one transaction deletes."""
        await furnish(store, ANN, "mark")
        (record,) = await records(store, "turn_events")
        many = [{**record, "first": n, "last": n} for n in range(3, 4_503)]
        await store.write_records("turn_events", many)
        assert await store.erase("acme", "ann") == {**ONE_OF_EVERYTHING, "turn_events": 4_501}

    @pytest.mark.parametrize("user", ["ann", None])
    async def test_a_hold_forbids_every_deletion(self, store: Store, user: str | None) -> None:
        """Of the user's, or of all of the tenant's; ended, everything may go."""
        await furnish(store, ANN, "mark")
        before = await seen(store, ANN)
        await store.put_hold(hold("acme", user))
        for call in deletions(store, ANN):
            await held(call())
        assert await store.expire_threads("acme", FAR, 9) == []
        assert await seen(store, ANN) == before
        await store.add_thread_item("thr_1", message("msg_3"), ANN)
        await store.delete_hold("acme", "bob")
        await held(store.delete_thread("thr_1", ANN))
        for _ in range(2):
            await store.delete_hold("acme", user)
        for call in reversed(deletions(store, ANN)[:4]):
            await call()
        assert await thread_ids(store) == []

    async def test_a_hold_concerns_nobody_else(self, store: Store) -> None:
        """Other users and other tenants delete; only the whole tenant cannot be erased."""
        for context in USERS:
            await furnish(store, context, "mark")
        await store.put_hold(hold("acme", "bob"))
        await store.put_hold(hold("umbrella", "ann"))
        await held(store.erase("acme", None))
        for call in deletions(store, ANN)[:4]:
            await call()
        await store.erase("acme", "ann")
        await store.erase("umbrella", "zoe")
        await held(store.erase("umbrella", None))
        assert names(await store.load_users(None, None, 9)) == [("acme", "bob")]

    async def test_holds_are_listed(self, store: Store) -> None:
        """A second one for the same changes its reason, and erasing leaves them."""
        holds = [hold("acme"), hold("acme", "ann"), hold("umbrella", "ann")]
        for each in reversed(holds):
            await store.put_hold(each)
        await store.put_hold(hold("acme", "ann", "case 8\0"))
        holds[1] = hold("acme", "ann", "case 8\0")
        assert await store.load_holds() == holds
        await store.delete_hold("acme", None)
        await store.erase("acme", "bob")
        assert await store.load_holds() == holds[1:]

    async def test_old_threads_expire(self, store: Store) -> None:
        """Those in which nobody wrote since, with their attachments; held ones stay."""
        for context in USERS:
            await furnish(store, context, "mark")
        others = await seen(store, ZOE)
        await store.save_attachment(image("atc_loose"), ANN)
        assert await store.expire_threads("acme", PAST, 9) == []
        await store.put_hold(hold("acme", "bob"))
        (expired,) = await store.expire_threads("acme", FAR, 9)
        assert names([expired.principal]) == [("acme", "ann")]
        assert (expired.thread_id, sorted(expired.attachment_ids)) == ("thr_1", ["atc_1", "atc_2"])
        assert await thread_ids(store) == []
        with pytest.raises(NotFoundError):
            await store.load_attachment("atc_1", ANN)
        assert await store.load_attachment("atc_loose", ANN) == image("atc_loose")
        await store.delete_hold("acme", "bob")
        assert [names([each.principal]) for each in await store.expire_threads("acme", FAR, 9)] == [
            [("acme", "bob")]
        ]
        assert await seen(store, ZOE) == others

    async def test_threads_expire_a_few_at_a_time(self, store: Store) -> None:
        """Those that have been quiet for longest go first."""
        for n in range(5):
            await store.save_thread(thread(f"thr_{n}"), ANN)
        for n, record in enumerate(await records(store, "threads")):
            await store.write_records("threads", [{**record, "active_at": 1_000 + n}])
        expired = await store.expire_threads("acme", PAST, 2)
        assert [each.thread_id for each in expired] == ["thr_0", "thr_1"]
        await store.add_thread_item("thr_3", question("msg_1", thread_id="thr_3"), ANN)
        expired = await store.expire_threads("acme", PAST, 9)
        assert [each.thread_id for each in expired] == ["thr_2", "thr_4"]

    async def test_stale_attachments_belong_to_no_thread(self, store: Store) -> None:
        """Those that are older than a moment, across users, up to a limit."""
        for context in (ANN, ZOE):
            await store.save_attachment(file("atc_1"), context)
            await store.save_attachment(image("atc_2", thread_id="thr_1"), context)
        assert await store.stale_attachments(PAST, 9) == []
        found = await store.stale_attachments(FAR, 9)
        assert sorted(names([each.principal for each in found])) == [
            ("acme", "ann"),
            ("umbrella", "zoe"),
        ]
        assert {each.attachment_id for each in found} == {"atc_1"}
        assert len(await store.stale_attachments(FAR, 1)) == 1
        await store.bind_attachment("atc_1", "thr_1", ANN)
        (left,) = await store.stale_attachments(FAR, 9)
        assert left.principal.user == "zoe"

    async def test_an_attachment_is_bound_to_one_thread(self, store: Store) -> None:
        """Again to the same is a success, to another a conflict."""
        await store.save_attachment(file(), ANN)
        with pytest.raises(NotFoundError):
            await store.bind_attachment("atc_x", "thr_1", ANN)
        for _ in range(2):
            await store.bind_attachment("atc_1", "thr_1", ANN)
        with pytest.raises(ConflictError):
            await store.bind_attachment("atc_1", "thr_2", ANN)
        taken = question("msg_1", file(), thread_id="thr_2")
        with pytest.raises(ConflictError):
            await store.create_thread(thread("thr_2"), taken, ANN)
        await store.save_thread(thread("thr_2"), ANN)
        with pytest.raises(ConflictError):
            await store.begin_turn(turn_order("trn_1", thread_id="thr_2", message=taken), ANN)
        assert not (await store.load_thread_items("thr_2", None, 9, "asc", ANN)).data
        assert await store.load_attachment("atc_1", ANN) == file(thread_id="thr_1")

    async def test_an_attachment_is_replaced_if_it_is_as_it_was(self, store: Store) -> None:
        """Who comes too late is told; the thread that it was bound to meanwhile stays."""
        old, new = file(), file().model_copy(update={"upload_descriptor": None})
        await store.save_attachment(old, ANN)
        await store.bind_attachment("atc_1", "thr_1", ANN)
        assert await store.replace_attachment(old, new, ANN)
        assert not await store.replace_attachment(old, file("atc_1"), ANN)
        bound = file(thread_id="thr_1").model_copy(update={"upload_descriptor": None})
        assert await store.load_attachment("atc_1", ANN) == bound
        await store.delete_attachment("atc_1", ANN)
        with pytest.raises(NotFoundError):
            await store.replace_attachment(new, old, ANN)

    async def test_one_replacement_wins(self, store: Store) -> None:
        """Of twenty at once one succeeds, and its record is what is kept."""
        await store.save_attachment(file(), ANN)
        new = [file().model_copy(update={"name": f"{n}.pdf"}) for n in range(20)]
        won = await asyncio.gather(*[store.replace_attachment(file(), each, ANN) for each in new])
        assert won.count(True) == 1
        assert await store.load_attachment("atc_1", ANN) == new[won.index(True)]

    async def test_events_of_erased_turns_are_gone(self, store: Store) -> None:
        """A turn's holder cannot write any more."""
        await furnish(store, ANN, "mark")
        await store.erase("acme", "ann")
        assert await store.keep_turns([sign(rows=[EventRow(9, 9, "late")])]) == []
        with pytest.raises(NotFoundError):
            await store.begin_tool_call("trn_1", 1, "call_9", "late", ANN)
        await store.save_thread(thread(), ANN)
        await store.begin_turn(turn_order(), ANN)
        assert await store.load_turn_events("trn_1", 0, 9, ANN) == []
        assert await store.load_tool_calls("trn_1", ANN) == []
