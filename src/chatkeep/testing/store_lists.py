"""The part of the store's contract about the list of conversations that a user sees."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chatkit.types import HiddenContextItem, Page, ThreadMetadata

from chatkeep.errors import NotFoundError
from chatkeep.ports import Store, ThreadSummary
from chatkeep.testing.store_pages import LIMITS, thread_ids
from chatkeep.testing.store_samples import MOMENT, asking, hidden, message, question, thread

ANN, BOB = asking(), asking(user="bob")


async def summaries(
    store: Store, order: str = "desc", limit: int = 100, *, archived: bool = False
) -> list[ThreadSummary]:
    """Return a user's summaries, page by page."""
    found: list[ThreadSummary] = []
    after = None
    while True:
        page = await store.load_summaries(limit, after, order, ANN, archived=archived)
        found += page.data
        assert page.has_more == (page.after is not None)
        if not page.has_more:
            return found
        after = page.after


async def listed(store: Store, order: str = "desc", limit: int = 100, **how: bool) -> list[str]:
    """Return the ids of the user's threads by activity."""
    return [each.thread.id for each in await summaries(store, order, limit, **how)]


async def only(store: Store) -> ThreadSummary:
    """Return the summary of the only thread."""
    (summary,) = await summaries(store)
    return summary


async def ask(store: Store, thread_id: str, item_id: str, text: str = "") -> None:
    """Write as the user."""
    await store.add_thread_item(thread_id, question(item_id, thread_id=thread_id, text=text), ANN)


def titled(title: str | None) -> Any:
    """Return the change of a title."""

    def change(changed: ThreadMetadata) -> None:
        changed.title = title

    return change


@pytest.mark.asyncio
class ListsContract:
    """Conversations by last activity, with previews, unread and archived ones."""

    async def test_threads_are_listed_by_what_the_user_wrote_last(self, store: Store) -> None:
        """A message of the user brings a thread to the front; one of the assistant does not."""
        assert await store.load_summaries(5, None, "desc", ANN) == Page()
        for n in range(4):
            await store.create_thread(thread(f"thr_{n}"), question("msg_1"), ANN)
        assert await listed(store) == ["thr_3", "thr_2", "thr_1", "thr_0"]
        await ask(store, "thr_1", "msg_2")
        await store.add_thread_item("thr_0", message("msg_2"), ANN)
        await store.save_item("thr_0", question("msg_1", text="edited"), ANN)
        await store.change_thread("thr_2", titled("new"), ANN)
        assert await listed(store) == ["thr_1", "thr_3", "thr_2", "thr_0"]
        assert await thread_ids(store) == ["thr_0", "thr_1", "thr_2", "thr_3"]
        await store.delete_thread_item("thr_1", "msg_2", ANN)
        assert await listed(store) == ["thr_1", "thr_3", "thr_2", "thr_0"]

    async def test_pages_of_summaries_are_complete_in_both_orders(self, store: Store) -> None:
        """Whatever the limit, each thread comes once, and a page may begin behind a thread."""
        ids = [f"thr_{n}" for n in range(8)]
        for thread_id in ids:
            await store.save_thread(thread(thread_id), ANN)
        await store.save_thread(thread("other"), BOB)
        for limit in LIMITS:
            assert await listed(store, "asc", limit) == ids
            assert await listed(store, "desc", limit) == ids[::-1]
        page = await store.load_summaries(2, "thr_5", "desc", ANN)
        assert [each.thread.id for each in page.data] == ["thr_4", "thr_3"]
        await store.delete_thread("thr_3", ANN)
        page = await store.load_summaries(2, page.after, "desc", ANN)
        assert [each.thread.id for each in page.data] == ["thr_2", "thr_1"]
        of_threads = (await store.load_threads(1, None, "asc", ANN)).after
        of_archived = page.after
        for after, archived in (
            ("other", False),
            ("thr_3", False),
            ("", False),
            (of_threads, False),
            (of_archived, True),
        ):
            with pytest.raises(NotFoundError):
                await store.load_summaries(2, after, "desc", ANN, archived=archived)
        for limit, order in ((0, "asc"), (5, "up")):
            with pytest.raises(ValueError, match=r"limit|order"):
                await store.load_summaries(limit, None, order, ANN)

    async def test_summaries_without_previews_are_the_same_threads(self, store: Store) -> None:
        """In the same order and on the same pages, but nothing is said of their messages."""
        for n in range(3):
            await store.create_thread(thread(f"thr_{n}"), question("msg_1", text="words"), ANN)
            await store.add_thread_item(f"thr_{n}", message("msg_2", "more"), ANN)
        await store.archive_thread("thr_1", True, ANN)
        for order in ("asc", "desc"):
            page = await store.load_summaries(1, None, order, ANN)
            plain = await store.load_summaries(1, None, order, ANN, previews=False)
            assert plain.after == page.after
            (whole,), (each,) = page.data, plain.data
            assert (whole.preview, whole.unread) == ("more", True)
            assert each == replace(whole, preview=None, unread=False)
        (put_away,) = (
            await store.load_summaries(9, None, "asc", ANN, archived=True, previews=False)
        ).data
        assert (put_away.thread.id, put_away.archived) == ("thr_1", True)

    async def test_a_summary_shows_the_newest_message(self, store: Store) -> None:
        """Its beginning, on one line; of what clients never see, nothing."""
        await store.save_thread(thread(title="title", metadata={"a": 1}), ANN)
        empty = await only(store)
        assert empty.thread == thread(title="title", metadata={"a": 1})
        assert (empty.preview, empty.unread, empty.archived) == (None, False, False)
        await ask(store, "thr_1", "msg_1", "A question\n\n of two  lines")
        assert (await only(store)).preview == "A question of two lines"
        await store.add_thread_item("thr_1", message("msg_2", "An answer " * 100), ANN)
        await store.add_thread_item("thr_1", hidden("msg_3"), ANN)
        preview = (await only(store)).preview
        assert preview == ("An answer " * 20).rstrip()
        await store.save_item("thr_1", message("msg_2", "Another"), ANN)
        assert (await only(store)).preview == "Another"
        await store.delete_thread_item("thr_1", "msg_2", ANN)
        assert (await only(store)).preview == "A question of two lines"
        secret = HiddenContextItem(id="msg_1", thread_id="thr_1", created_at=MOMENT, content="x")
        await store.save_item("thr_1", secret, ANN)
        assert (await only(store)).preview is None

    async def test_activity_is_when_the_user_wrote(self, store: Store) -> None:
        """By the server's clock, not by that of the message."""
        before = datetime.now(UTC) - timedelta(milliseconds=1)
        await store.save_thread(thread(created_at=MOMENT), ANN)
        created = (await only(store)).active_at
        assert created >= before
        assert created.utcoffset() == timedelta(0)
        await store.add_thread_item("thr_1", message("msg_1"), ANN)
        assert (await only(store)).active_at == created
        async with asyncio.timeout(30):
            n = 1
            while (active := (await only(store)).active_at) == created:
                n += 1
                await ask(store, "thr_1", f"msg_{n}")
        assert active > created

    async def test_a_thread_is_unread_until_it_was_read(self, store: Store) -> None:
        """What the assistant writes makes it unread; who reads, or writes, has read it."""
        await store.create_thread(thread(), question("msg_1"), ANN)
        assert not (await only(store)).unread
        await store.add_thread_item("thr_1", hidden("msg_2"), ANN)
        assert not (await only(store)).unread
        await store.add_thread_item("thr_1", message("msg_3"), ANN)
        assert (await only(store)).unread
        await store.mark_read("thr_1", ANN)
        assert not (await only(store)).unread
        await store.save_item("thr_1", message("msg_3", "longer"), ANN)
        assert not (await only(store)).unread
        await store.add_thread_item("thr_1", message("msg_4"), ANN)
        await store.delete_thread_item("thr_1", "msg_4", ANN)
        assert not (await only(store)).unread
        await store.add_thread_item("thr_1", message("msg_5"), ANN)
        await ask(store, "thr_1", "msg_6")
        assert not (await only(store)).unread

    async def test_archived_threads_have_a_list_of_their_own(self, store: Store) -> None:
        """They are taken back by hand, or when the user writes in them again."""
        for n in range(3):
            await store.save_thread(thread(f"thr_{n}"), ANN)
        for _ in range(2):
            await store.archive_thread("thr_1", True, ANN)
        await store.archive_thread("thr_2", True, ANN)
        await store.archive_thread("thr_0", False, ANN)
        assert await listed(store) == ["thr_0"]
        assert await listed(store, archived=True) == ["thr_2", "thr_1"]
        assert all(each.archived for each in await summaries(store, archived=True))
        assert await thread_ids(store) == ["thr_0", "thr_1", "thr_2"]
        await store.add_thread_item("thr_1", message("msg_1"), ANN)
        await store.change_thread("thr_1", titled("new"), ANN)
        assert await listed(store, archived=True) == ["thr_2", "thr_1"]
        await ask(store, "thr_1", "msg_2")
        await store.archive_thread("thr_2", False, ANN)
        assert await listed(store) == ["thr_1", "thr_2", "thr_0"]

    async def test_an_unknown_thread_is_neither_read_nor_archived(self, store: Store) -> None:
        """Both are not found."""
        for call in (
            store.mark_read("thr_x", ANN),
            store.archive_thread("thr_x", True, ANN),
            store.archive_thread("thr_x", False, ANN),
        ):
            with pytest.raises(NotFoundError):
                await call
