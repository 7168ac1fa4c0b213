"""The part of the store's contract about values: what is stored comes back, and as a copy."""

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from chatkit.types import AssistantMessageContent, Page, Thread, ThreadItem, ThreadMetadata
from pydantic import BaseModel

from chatkeep.errors import NotFoundError
from chatkeep.ports import Store
from chatkeep.testing.store_pages import item_ids, thread_ids
from chatkeep.testing.store_samples import (
    MOMENT,
    asking,
    every_item,
    every_thread,
    file,
    image,
    message,
    question,
    thread,
)

ANN = asking()

TEXTS = {
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 🐈",
    "scripts": "Ünïcödé العربية 日本語 e\u0301",
    "separators": "a\u2028b\u2029c\r\n\t\x0b\x1f",
    "quotes": "'; DROP TABLE items; --\"\\ %s ? :p {} $1",
    "NUL": "a\0b",
    "long": "x" * 1_000_000,
    "noncharacter": "\uffff\U0010ffff",
}


@pytest.mark.asyncio
class ValuesContract:
    """What is written and what is read."""

    @pytest.mark.parametrize("item", every_item(), ids=lambda item: item.id)
    async def test_every_type_of_item_survives(self, store: Store, item: ThreadItem) -> None:
        """An item comes back equal, alone and on a page, however it was written."""
        await store.save_thread(thread(), ANN)
        for write in (store.add_thread_item, store.save_item):
            await write("thr_1", item, ANN)
            assert await store.load_item("thr_1", item.id, ANN) == item
            page = await store.load_thread_items("thr_1", None, 9, "asc", ANN)
            assert page.data == [item]
            assert _json(page.data[0]) == _json(item)

    async def test_the_samples_have_every_type(self, store: Store) -> None:
        """The suite knows each type that the SDK has."""
        del store
        union = get_args(get_args(ThreadItem)[0])
        assert {type(item) for item in every_item()} == set(union)

    @pytest.mark.parametrize("sample", every_thread(), ids=lambda sample: sample.id)
    async def test_threads_survive(self, store: Store, sample: ThreadMetadata) -> None:
        """A thread comes back equal, alone and on a page, with its private metadata."""
        await store.save_thread(sample, ANN)
        assert await store.load_thread(sample.id, ANN) == sample
        assert (await store.load_threads(9, None, "asc", ANN)).data == [sample]

    async def test_saving_a_thread_replaces_it(self, store: Store) -> None:
        """Saving again changes every field and leaves the items alone."""
        await store.save_thread(thread(title="old", metadata={"a": 1}), ANN)
        await store.add_thread_item("thr_1", message("msg_1"), ANN)
        new = every_thread()[1].model_copy(update={"id": "thr_1"})
        await store.save_thread(new, ANN)
        assert await store.load_thread("thr_1", ANN) == new
        await store.save_thread(thread(), ANN)
        assert await store.load_thread("thr_1", ANN) == thread()
        assert await item_ids(store) == ["msg_1"]

    async def test_a_thread_with_items_is_stored_without_them(self, store: Store) -> None:
        """The SDK saves its `Thread`; what comes back is the metadata."""
        full = Thread(id="thr_1", created_at=MOMENT, items=Page(data=[message("msg_1")]))
        await store.save_thread(full, ANN)
        assert await store.load_thread("thr_1", ANN) == thread()
        assert await item_ids(store) == []

    @pytest.mark.parametrize("sample", [file(), image(), image(thread_id="thr_9")])
    async def test_attachments_survive(self, store: Store, sample: Any) -> None:
        """An attachment's record comes back equal, with its private metadata."""
        await store.save_attachment(sample, ANN)
        loaded = await store.load_attachment(sample.id, ANN)
        assert loaded == sample
        assert loaded.metadata == sample.metadata

    async def test_saving_an_attachment_replaces_it(self, store: Store) -> None:
        """The SDK saves an attachment again when its message names the thread."""
        await store.save_attachment(file(), ANN)
        done = file(thread_id="thr_1").model_copy(update={"upload_descriptor": None})
        await store.save_attachment(done, ANN)
        assert await store.load_attachment("atc_1", ANN) == done

    @pytest.mark.parametrize("kind", TEXTS)
    async def test_text_survives(self, store: Store, kind: str) -> None:
        """Any text is kept to the character, in items and titles; NUL too."""
        text = TEXTS[kind]
        await store.save_thread(thread(title=text), ANN)
        await store.add_thread_item("thr_1", message("msg_1", text), ANN)
        assert (await store.load_thread("thr_1", ANN)).title == text
        assert await store.load_item("thr_1", "msg_1", ANN) == message("msg_1", text)

    async def test_half_a_character_is_refused(self, store: Store) -> None:
        """A lone surrogate is not text: `ValueError`, and nothing is stored."""
        broken = "\ud83d"
        await store.save_thread(thread(), ANN)
        calls = (
            store.add_thread_item("thr_1", message("msg_1", broken), ANN),
            store.save_item("thr_1", message("msg_1", broken), ANN),
            store.save_thread(thread("thr_2", title=broken), ANN),
            store.title_thread("thr_1", broken, ANN),
            store.create_thread(thread("thr_2", title=broken), question("msg_1"), ANN),
            store.save_attachment(file().model_copy(update={"name": broken}), ANN),
        )
        for call in calls:
            with pytest.raises(ValueError, match="surrogates"):
                await call
        assert await item_ids(store) == []
        assert (await store.load_threads(9, None, "asc", ANN)).data == [thread()]
        with pytest.raises(NotFoundError):
            await store.load_attachment("atc_1", ANN)

    async def test_ids_are_compared_to_the_character(self, store: Store) -> None:
        """No case folding, no wildcards, no trimming, no normalisation."""
        ids = ["a", "A", "a ", "%", "_", "a%", "é", "e\u0301", "🐈", "'", "a\0", "x" * 500]
        for item_id in ids:
            await store.save_thread(thread(item_id), ANN)
            await store.add_thread_item(item_id, message(item_id, item_id), ANN)
        assert await thread_ids(store) == ids
        for item_id in ids:
            assert await store.load_item(item_id, item_id, ANN) == message(item_id, item_id)
            await store.delete_thread(item_id, ANN)
        assert await thread_ids(store) == []

    async def test_naive_times_are_local(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The SDK's `datetime.now()` comes back as the same moment, aware and in UTC."""
        naive = datetime(2026, 3, 29, 7, 0, 0, 5)  # noqa: DTZ001 - as the SDK makes them
        monkeypatch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        try:
            await store.save_thread(thread(created_at=naive), ANN)
            item = message("msg_1").model_copy(update={"created_at": naive})
            await store.add_thread_item("thr_1", item, ANN)
        finally:
            monkeypatch.undo()
            time.tzset()
        moments = [
            (await store.load_thread("thr_1", ANN)).created_at,
            (await store.load_item("thr_1", "msg_1", ANN)).created_at,
        ]
        assert moments == [datetime(2026, 3, 29, 1, 30, 0, 5, tzinfo=UTC)] * 2
        assert [moment.utcoffset() for moment in moments] == [timedelta(0)] * 2

    async def test_aware_times_become_utc(self, store: Store) -> None:
        """A moment with another offset comes back as the same moment in UTC."""
        moment = MOMENT.astimezone(timezone(timedelta(hours=-7)))
        await store.save_thread(thread(created_at=moment), ANN)
        loaded = (await store.load_thread("thr_1", ANN)).created_at
        assert loaded == MOMENT
        assert loaded.utcoffset() == timedelta(0)

    async def test_what_is_passed_in_is_not_kept(self, store: Store) -> None:
        """Changing an object after it was stored changes nothing in the store, nor the reverse."""
        kept, item, attachment = thread(metadata={"a": []}), message("msg_1", "old"), file()
        naive = MOMENT.replace(tzinfo=None)
        kept.created_at = item.created_at = naive
        await store.save_thread(kept, ANN)
        await store.add_thread_item("thr_1", item, ANN)
        await store.save_attachment(attachment, ANN)
        assert kept.created_at is item.created_at is naive
        kept.metadata["a"].append(1)
        item.content[0].text = "new"
        attachment.name = "new"
        assert (await store.load_thread("thr_1", ANN)).metadata == {"a": []}
        assert (await _load_message(store)).text == "old"
        assert (await store.load_attachment("atc_1", ANN)).name == "report.pdf"

    async def test_what_is_returned_is_the_callers(self, store: Store) -> None:
        """Changing a loaded object changes nothing for the next reader."""
        await store.save_thread(thread(metadata={"a": []}), ANN)
        await store.add_thread_item("thr_1", message("msg_1", "old"), ANN)
        await store.save_attachment(file(), ANN)
        (await store.load_thread("thr_1", ANN)).metadata["a"].append(1)
        (await store.load_threads(9, None, "asc", ANN)).data[0].title = "new"
        (await _load_message(store)).text = "new"
        (await store.load_thread_items("thr_1", None, 9, "asc", ANN)).data.clear()
        (await store.load_attachment("atc_1", ANN)).name = "new"
        assert await store.load_thread("thr_1", ANN) == thread(metadata={"a": []})
        assert await store.load_item("thr_1", "msg_1", ANN) == message("msg_1", "old")
        assert await store.load_attachment("atc_1", ANN) == file()


def _json(item: BaseModel) -> str:
    return item.model_dump_json(by_alias=True, exclude_none=True)


async def _load_message(store: Store) -> AssistantMessageContent:
    item: Any = await store.load_item("thr_1", "msg_1", ANN)
    content: AssistantMessageContent = item.content[0]
    return content
