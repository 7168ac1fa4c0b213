"""The part of the store's contract about changing threads and searching them."""

import asyncio
from typing import Any

import pytest
from chatkit.types import Page, ThreadMetadata

from chatkeep.errors import NotFoundError
from chatkeep.ports import SearchHit, Store
from chatkeep.testing.store_lists import ask, titled
from chatkeep.testing.store_pages import LIMITS, thread_ids
from chatkeep.testing.store_samples import asking, hidden, message, thread

ANN, BOB = asking(), asking(user="bob")

TEXTS = {
    "de": "Die Straße nach Köln ist gesperrt.",
    "fr": "Le café de l'été, à Paris",
    "ja": "東京都に住んでいます",
    "ko": "안녕하세요 세계",
    "ru": "Ёлка и поезд в Москву",
    "el": "ΟΔΥΣΣΕΥΣ και Πηνελόπη",
    "th": "สวัสดีชาวโลก",
    "ar": "مرحبا بالعالم",
    "hi": "नमस्ते दुनिया",
    "code": "def load_thread(self, id): return None  # v2.10",
    "odd": 'it\'s "quoted" AND not OR * (a:b) \\ 100% a\0b',
    "wide": "\uff26\uff55\uff4c\uff4c width, and a liga\ufb01ture",
}

FOUND = [
    ("straße", "de"),
    ("STRASSE", "de"),
    ("koln", "de"),
    ("gesp", "de"),
    ("köln straße", "de"),
    ("cafe", "fr"),
    ("CAFÉ", "fr"),
    ("ete", "fr"),
    ("東京", "ja"),
    ("京都", "ja"),
    ("京", "ja"),
    ("住んで", "ja"),
    ("세계", "ko"),
    ("안녕", "ko"),
    ("елка", "ru"),
    ("москв", "ru"),
    ("οδυσσευς", "el"),
    ("πηνελοπη", "el"),
    ("ชาว", "th"),
    ("مرحبا", "ar"),
    ("नमस्ते", "hi"),
    ("load_thread", "code"),
    ("thread loa", "code"),
    ("v2.10", "code"),
    ("quoted", "odd"),
    ("and or not", "odd"),
    ('"quoted" AND', "odd"),
    ("full", "wide"),
    ("ligafiture", "wide"),
]
"""What is looked for, and the only text that has it."""

NOWHERE = [
    "",
    "   ",
    "*",
    '"',
    "'",
    ":",
    "&|!()<->",
    "\0",
    "\ud83d",
    "🐈",
    "zebra",
    "köln zebra",
    "oln",
    "trasse",
    "NEAR(köln straße)x",
    "words: köln",
    "köln:* | zebra",
    "-köln zebra",
    "x" * 5000,
]
"""What is in no text, among it what databases take for operators."""


async def hits(store: Store, text: str, limit: int = 100) -> list[SearchHit]:
    """Return all that is found, page by page."""
    found: list[SearchHit] = []
    after = None
    while True:
        page: Page[SearchHit] = await store.search(text, limit, after, ANN)
        found += page.data
        assert page.has_more == (page.after is not None)
        if not page.has_more:
            return found
        after = page.after


async def found_in(store: Store, text: str, limit: int = 100) -> list[str]:
    """Return where something is found: ids of messages, and of threads for their titles."""
    return [hit.item_id or hit.thread_id for hit in await hits(store, text, limit)]


@pytest.mark.asyncio
class FindingContract:
    """What a thread is called, and how what it says is found again."""

    async def test_a_thread_is_changed(self, store: Store) -> None:
        """What the change did not touch stays, and what comes back is what is stored."""
        await store.save_thread(thread(title="old", metadata={"a": 1}), ANN)

        def change(changed: ThreadMetadata) -> None:
            changed.title = "new"
            changed.metadata["b"] = 2

        changed = await store.change_thread("thr_1", change, ANN)
        assert changed == thread(title="new", metadata={"a": 1, "b": 2})
        assert await store.load_thread("thr_1", ANN) == changed
        assert await thread_ids(store) == ["thr_1"]

    async def test_changes_at_once_all_survive(self, store: Store) -> None:
        """Twenty that change different fields of one thread, and one that titles it."""
        await store.save_thread(thread(), ANN)

        def adding(n: int) -> Any:
            return lambda changed: changed.metadata.update({str(n): n})

        await asyncio.gather(
            *[store.change_thread("thr_1", adding(n), ANN) for n in range(20)],
            store.title_thread("thr_1", "title", ANN),
        )
        loaded = await store.load_thread("thr_1", ANN)
        assert loaded.metadata == {str(n): n for n in range(20)}
        assert loaded.title == "title"

    async def test_a_deleted_thread_is_not_changed(self, store: Store) -> None:
        """It does not come back, neither does one that never was."""
        await store.save_thread(thread(), ANN)
        await store.delete_thread("thr_1", ANN)
        with pytest.raises(NotFoundError):
            await store.change_thread("thr_1", titled("back"), ANN)
        assert await thread_ids(store) == []

    async def test_a_change_that_fails_changes_nothing(self, store: Store) -> None:
        """Its own error passes, and so does that of a text that cannot be stored."""
        await store.save_thread(thread(title="old"), ANN)

        def change(changed: ThreadMetadata) -> None:
            changed.title = "new"
            raise LookupError

        with pytest.raises(LookupError):
            await store.change_thread("thr_1", change, ANN)
        with pytest.raises(ValueError, match="surrogates"):
            await store.change_thread("thr_1", titled("\ud83d"), ANN)
        assert await store.load_thread("thr_1", ANN) == thread(title="old")
        assert await found_in(store, "old") == ["thr_1"]

    async def test_texts_are_found_by_their_words(self, store: Store) -> None:
        """All words, the last one's beginning; without case and accents, in any script."""
        await store.save_thread(thread(), ANN)
        for item_id, text in TEXTS.items():
            await store.add_thread_item("thr_1", message(item_id, text), ANN)
        found = {text: await found_in(store, text) for text, _ in FOUND}
        assert found == {text: [where] for text, where in FOUND}

    async def test_odd_questions_find_nothing(self, store: Store) -> None:
        """No text is an operator, and none is an error."""
        await store.save_thread(thread(title="Köln"), ANN)
        await store.add_thread_item("thr_1", message("msg_1", " ".join(TEXTS.values())), ANN)
        for text in NOWHERE:
            assert await store.search(text, 9, None, ANN) == Page(), text

    async def test_what_is_found_shows_its_place(self, store: Store) -> None:
        """Title, thread, and a part of the text in which the marks are the words."""
        text = "x " * 500 + "The Straße to Cologne, and the STRASSE back. " + "y " * 500
        await store.save_thread(thread(title="A title with strasse"), ANN)
        await ask(store, "thr_1", "msg_1", text)
        in_text, in_title = await hits(store, "strasse")
        assert (in_text.thread_id, in_text.item_id) == ("thr_1", "msg_1")
        assert (in_title.thread_id, in_title.item_id) == ("thr_1", None)
        for hit in (in_text, in_title):
            assert hit.title == "A title with strasse"
            assert len(hit.snippet) <= 240
            assert all(0 <= start < end <= len(hit.snippet) for start, end in hit.marks)
        assert [in_text.snippet[start:end] for start, end in in_text.marks] == ["Straße", "STRASSE"]
        assert [in_title.snippet[start:end] for start, end in in_title.marks] == ["strasse"]
        assert in_title.snippet == "A title with strasse"

    async def test_what_is_found_is_what_is_there(self, store: Store) -> None:
        """Old titles and texts, deleted items and threads, and hidden ones are not found."""
        await store.save_thread(thread(title="apple"), ANN)
        await store.save_thread(thread("thr_2"), ANN)
        await store.add_thread_item("thr_1", message("msg_1", "apple"), ANN)
        await store.add_thread_item("thr_1", message("msg_2", "apple"), ANN)
        await store.add_thread_item("thr_2", message("msg_3", "apple", thread_id="thr_2"), ANN)
        await store.add_thread_item("thr_1", hidden("msg_4"), ANN)
        assert await found_in(store, "hidden") == []
        assert await found_in(store, "apple") == ["msg_3", "msg_2", "msg_1", "thr_1"]
        await store.save_thread(thread(title="pear"), ANN)
        assert await found_in(store, "apple") == ["msg_3", "msg_2", "msg_1"]
        assert await found_in(store, "pear") == ["thr_1"]
        await store.title_thread("thr_2", "pear", ANN)
        assert await found_in(store, "pear") == ["thr_2", "thr_1"]
        await store.change_thread("thr_1", titled(None), ANN)
        assert await found_in(store, "pear") == ["thr_2"]
        await store.save_item("thr_1", message("msg_1", "pear"), ANN)
        await store.add_thread_item("thr_1", message("msg_2", "plum"), ANN)
        assert await found_in(store, "apple") == ["msg_3"]
        assert sorted(await found_in(store, "pear")) == ["msg_1", "thr_2"]
        await store.delete_thread_item("thr_1", "msg_1", ANN)
        await store.save_item("thr_1", hidden("msg_2"), ANN)
        assert await found_in(store, "pear") == ["thr_2"]
        assert await found_in(store, "plum") == []
        await store.delete_thread("thr_2", ANN)
        assert await found_in(store, "pear") == []
        assert await found_in(store, "apple") == []

    async def test_what_is_found_comes_in_pages(self, store: Store) -> None:
        """Newest first, each once, whatever the limit, and behind what has been deleted."""
        await store.save_thread(thread(), ANN)
        ids = [f"msg_{n}" for n in range(8)]
        for item_id in ids:
            await ask(store, "thr_1", item_id, f"apple {item_id}")
        for limit in LIMITS:
            assert await found_in(store, "apple", limit) == ids[::-1]
        page = await store.search("apple", 3, None, ANN)
        await store.delete_thread_items("thr_1", ids[3:6], ANN)
        await ask(store, "thr_1", "msg_9", "apple")
        page = await store.search("apple", 3, page.after, ANN)
        assert [hit.item_id for hit in page.data] == ["msg_2", "msg_1", "msg_0"]
        for after in ("msg_0", "", "after_"):
            with pytest.raises(NotFoundError):
                await store.search("apple", 3, after, ANN)
        with pytest.raises(ValueError, match="limit"):
            await store.search("apple", 0, None, ANN)

    async def test_nobody_finds_what_is_anothers(self, store: Store) -> None:
        """Neither messages nor titles, and pages of one's own are full."""
        for context in (BOB, ANN, asking(tenant="umbrella")):
            await store.save_thread(thread(title="apple"), context)
            for n in range(3):
                await store.add_thread_item("thr_1", message(f"msg_{n}", "apple"), context)
        assert await found_in(store, "apple", 2) == ["msg_2", "msg_1", "msg_0", "thr_1"]
        assert await store.search("apple", 9, None, asking(user="nobody")) == Page()

    async def test_long_texts_are_found(self, store: Store) -> None:
        """Two hundred thousand characters, and as many different words as there may be."""
        await store.save_thread(thread(title="t" * 10_000), ANN)
        long = "first " + "word " * 38_000 + "last"
        many = " ".join(f"number{n}" for n in range(3_000)) + " last"
        await store.add_thread_item("thr_1", message("msg_1", long), ANN)
        await store.add_thread_item("thr_1", message("msg_2", many), ANN)
        assert await found_in(store, "first last") == ["msg_1"]
        assert await found_in(store, "number2999") == ["msg_2"]
        assert await found_in(store, "last") == ["msg_2", "msg_1"]
        (hit,) = await hits(store, "first last")
        assert hit.snippet.startswith("first word")
