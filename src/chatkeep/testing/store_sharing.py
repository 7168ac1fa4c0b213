"""The part of the store's contract about shares: who knows the secret may read."""

from datetime import UTC, datetime, timedelta

import pytest

from chatkeep.errors import ConflictError, NotFoundError
from chatkeep.ports import Share, Store
from chatkeep.testing.store_pages import LIMITS, filled, walk
from chatkeep.testing.store_samples import asking, hidden, message, thread

ANN, BOB = asking(), asking(user="bob")

FAR = datetime(2100, 1, 1, 0, 0, 0, 5000, tzinfo=UTC)
PAST = datetime(2020, 1, 1, tzinfo=UTC)


async def shared_ids(store: Store, share: Share, limit: int = 100) -> list[str]:
    """Return the ids of what a share shows, page by page."""
    return await walk(lambda after: store.load_shared_items(share, after, limit))


async def gone(store: Store, share: Share, digest: str) -> None:
    """Check that nobody can use a share any more."""
    with pytest.raises(NotFoundError):
        await store.find_share(digest)
    with pytest.raises(NotFoundError):
        await store.load_shared_items(share, None, 9)


@pytest.mark.asyncio
class SharingContract:
    """Reading a thread without being its owner."""

    async def test_a_share_is_found_by_its_secret(self, store: Store) -> None:
        """It names the owner and the thread, and reads what was there."""
        ids = await filled(store, 3)
        share = await store.create_share("thr_1", "shr_1", "digest", FAR, ANN)
        assert (share.id, share.thread_id, share.expires_at) == ("shr_1", "thr_1", FAR)
        assert (share.principal.tenant, share.principal.user) == ("acme", "ann")
        assert share.created_at.utcoffset() == timedelta(0)
        assert await store.find_share("digest") == share
        assert await store.load_shares("thr_1", ANN) == [share]
        assert await shared_ids(store, share) == ids
        with pytest.raises(NotFoundError):
            await store.find_share("another")

    async def test_a_share_shows_the_thread_as_it_was(self, store: Store) -> None:
        """Later items stay private; changes of earlier ones, and deletions, are seen."""
        ids = await filled(store, 3)
        first = await store.create_share("thr_1", "shr_1", "one", None, ANN)
        await store.add_thread_item("thr_1", message("late"), ANN)
        second = await store.create_share("thr_1", "shr_2", "two", None, ANN)
        assert await shared_ids(store, first) == ids
        assert await shared_ids(store, second) == [*ids, "late"]
        await store.save_item("thr_1", message(ids[1], "changed"), ANN)
        await store.delete_thread_item("thr_1", ids[0], ANN)
        page = await store.load_shared_items(first, None, 9)
        assert page.data == [message(ids[1], "changed"), message(ids[2])]

    async def test_a_share_comes_in_pages(self, store: Store) -> None:
        """Oldest first, each once, without hidden items; a cursor is good for one share."""
        ids = await filled(store, 8)
        await store.add_thread_item("thr_1", hidden("secret"), ANN)
        await store.save_item("thr_1", hidden(ids[4]), ANN)
        share = await store.create_share("thr_1", "shr_1", "one", None, ANN)
        other = await store.create_share("thr_1", "shr_2", "two", None, ANN)
        for limit in LIMITS:
            assert await shared_ids(store, share, limit) == [*ids[:4], *ids[5:]]
        cursor = (await store.load_shared_items(share, None, 2)).after
        of_items = (await store.load_thread_items("thr_1", None, 2, "asc", ANN)).after
        for wrong in (of_items, ids[1], ""):
            with pytest.raises(NotFoundError):
                await store.load_shared_items(share, wrong, 2)
        with pytest.raises(NotFoundError):
            await store.load_shared_items(other, cursor, 2)
        with pytest.raises(ValueError, match="limit"):
            await store.load_shared_items(share, None, 0)

    async def test_an_empty_thread_is_shared(self, store: Store) -> None:
        """It shows nothing, also when somebody writes later."""
        await store.save_thread(thread(), ANN)
        share = await store.create_share("thr_1", "shr_1", "digest", None, ANN)
        await store.add_thread_item("thr_1", message("late"), ANN)
        assert await shared_ids(store, share) == []

    async def test_a_share_expires(self, store: Store) -> None:
        """Its secret is of no use then; its owner still sees it."""
        await filled(store, 1)
        share = await store.create_share("thr_1", "shr_1", "digest", PAST, ANN)
        with pytest.raises(NotFoundError):
            await store.find_share("digest")
        assert await store.load_shares("thr_1", ANN) == [share]

    async def test_a_share_is_revoked(self, store: Store) -> None:
        """By its owner, again and again; the others stay."""
        ids = await filled(store, 1)
        share = await store.create_share("thr_1", "shr_1", "one", None, ANN)
        other = await store.create_share("thr_1", "shr_2", "two", None, ANN)
        for context in (BOB, asking(tenant="umbrella")):
            await store.delete_share("shr_1", context)
        assert await store.find_share("one") == share
        for _ in range(2):
            await store.delete_share("shr_1", ANN)
            await gone(store, share, "one")
        assert await store.load_shares("thr_1", ANN) == [other]
        assert await shared_ids(store, other) == ids

    async def test_shares_go_with_their_thread(self, store: Store) -> None:
        """A thread of the same id that comes later is not shared."""
        await filled(store, 1)
        share = await store.create_share("thr_1", "shr_1", "digest", None, ANN)
        await store.delete_thread("thr_1", ANN)
        await gone(store, share, "digest")
        await filled(store, 1)
        await gone(store, share, "digest")
        assert await store.load_shares("thr_1", ANN) == []

    async def test_a_share_is_created_once(self, store: Store) -> None:
        """The same again is the same share; its id or its secret for something else is not."""
        await filled(store, 1)
        await store.save_thread(thread("thr_2"), ANN)
        share = await store.create_share("thr_1", "shr_1", "digest", None, ANN)
        await store.add_thread_item("thr_1", message("late"), ANN)
        assert await store.create_share("thr_1", "shr_1", "digest", None, ANN) == share
        for thread_id, share_id, digest in (
            ("thr_1", "shr_1", "other"),
            ("thr_2", "shr_1", "digest"),
            ("thr_1", "shr_2", "digest"),
        ):
            with pytest.raises(ConflictError):
                await store.create_share(thread_id, share_id, digest, None, ANN)
        assert await store.load_shares("thr_1", ANN) == [share]
        assert await store.load_shares("thr_2", ANN) == []

    async def test_the_same_share_id_never_mixes(self, store: Store) -> None:
        """Each user's share of that id shows what is theirs."""
        users = (ANN, BOB, asking(tenant="umbrella"))
        shares = []
        for n, context in enumerate(users):
            await store.save_thread(thread(), context)
            for item in range(n + 1):
                await store.add_thread_item("thr_1", message(f"{n} {item}"), context)
            shares.append(await store.create_share("thr_1", "shr_1", f"{n}", None, context))
        for n, share in enumerate(shares):
            assert await shared_ids(store, share) == [f"{n} {item}" for item in range(n + 1)]
            assert await store.find_share(f"{n}") == share
            assert await store.load_shares("thr_1", users[n]) == [share]

    async def test_only_a_thread_that_exists_is_shared(self, store: Store) -> None:
        """An unknown one, and another's, is not found."""
        await store.save_thread(thread(), BOB)
        for call in (
            store.create_share("thr_1", "shr_1", "digest", None, ANN),
            store.load_shares("thr_1", ANN),
        ):
            with pytest.raises(NotFoundError):
                await call
        with pytest.raises(NotFoundError):
            await store.find_share("digest")
