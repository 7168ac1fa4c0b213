"""Random histories of the store against a model of plain dicts, the same for every backend.

One store serves all histories: each has a tenant of its own, and two users with the same ids in
it, so that every history also checks that users are kept apart.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from chatkit.types import ThreadItem, ThreadMetadata
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chatkeep.context import RequestContext
from chatkeep.errors import ConflictError, NotFoundError
from chatkeep.ports import Store
from chatkeep.stores import open_store
from chatkeep.stores.encoding import message_text
from chatkeep.stores.words import index_words
from chatkeep.testing.store_samples import asking, file, hidden, message, question, thread
from support.mongo import MongoServer
from support.postgres import PostgresServer

HISTORIES = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

THREADS = st.sampled_from([f"thr_{n}" for n in range(3)])
ITEMS = st.sampled_from([f"msg_{n}" for n in range(5)])
ATTACHMENTS = st.sampled_from([f"atc_{n}" for n in range(3)])
WORDS = ["apple", "pear", "plum"]
TEXTS = st.text(max_size=5) | st.sampled_from([*WORDS, "Pear plum", "PLÜM applet"])
ORDERS = st.sampled_from(["asc", "desc"])
LIMITS = st.integers(1, 4)
USERS = st.sampled_from(["ann", "bob"])
KINDS = st.sampled_from(["positive", "negative"])

_tenants = count()


@dataclass
class Row:
    """An item as the model knows it."""

    seq: int
    item: ThreadItem


@dataclass
class Kept:
    """A thread as the model knows it."""

    seq: int
    birth: int
    title: str | None
    active: int = 0
    read: int = 0
    archived: bool = False
    next_seq: int = 1
    items: dict[str, Row] = field(default_factory=dict)
    feedback: dict[str, str] = field(default_factory=dict)

    def put(self, item: ThreadItem) -> None:
        """Write an item."""
        if row := self.items.get(item.id):
            row.item = item
        else:
            self.items[item.id] = Row(self.next_seq, item)
            self.next_seq += 1

    @property
    def newest(self) -> str | None:
        """The beginning of the newest message."""
        rows = sorted(self.items.values(), key=lambda row: row.seq)
        texts = [text for row in rows if (text := message_text(row.item)) is not None]
        return " ".join(texts[-1].split()) or None if texts else None

    @property
    def unread(self) -> bool:
        """The assistant has written since the user read."""
        kind = "assistant_message"
        return any(row.item.type == kind and row.seq > self.read for row in self.items.values())


@dataclass
class User:
    """A user as the model knows them."""

    context: RequestContext
    next_seq: int = 1
    moments: Iterator[int] = field(default_factory=lambda: count(1))
    threads: dict[str, Kept] = field(default_factory=dict)
    attachments: dict[str, str | None] = field(default_factory=dict)

    def add(self, thread_id: str, title: str | None, births: Iterator[int]) -> Kept:
        """Write a new thread."""
        kept = self.threads[thread_id] = Kept(self.next_seq, next(births), title)
        self.next_seq += 1
        kept.active = next(self.moments)
        return kept

    def ask(self, kept: Kept, item: ThreadItem) -> None:
        """Write a message of the user's, behind the others or again."""
        kept.put(item)
        kept.active, kept.read, kept.archived = next(self.moments), kept.next_seq - 1, False


@dataclass
class Cursor:
    """A cursor that a page gave, and what must come behind it."""

    text: str
    user: str
    thread_id: str | None
    birth: int
    seq: int


class StoreMachine(RuleBasedStateMachine):
    """Each rule does one thing to the store and to the model, and compares the outcomes."""

    store: Store
    run: Callable[[Coroutine[Any, Any, Any]], Any]

    @initialize()
    def begin(self) -> None:
        """Give the history a tenant of its own."""
        tenant = f"tenant {next(_tenants)}"
        self.users = {user: User(asking(user=user, tenant=tenant)) for user in ("ann", "bob")}
        self.births = count(1)
        self.cursors: list[Cursor] = []

    def outcome(self, call: Awaitable[Any]) -> Any:
        """Return a call's result, or the class of its error."""

        async def caught() -> Any:
            try:
                return await call
            except (NotFoundError, ConflictError) as error:
                return type(error)

        return self.run(caught())

    @rule(user=USERS, thread_id=THREADS, title=st.none() | TEXTS)
    def save_thread(self, user: str, thread_id: str, title: str | None) -> None:
        """Write a thread, new or old."""
        owner = self.users[user]
        self.outcome(self.store.save_thread(thread(thread_id, title=title), owner.context))
        if kept := owner.threads.get(thread_id):
            kept.title = title
        else:
            owner.add(thread_id, title, self.births)

    @rule(user=USERS, thread_id=THREADS, attachment=st.none() | ATTACHMENTS)
    def create_thread(self, user: str, thread_id: str, attachment: str | None) -> None:
        """Create a thread with its first message."""
        owner = self.users[user]
        files = [file(attachment)] if attachment else []
        first = question("msg_0", *files, thread_id=thread_id)
        found = self.outcome(self.store.create_thread(thread(thread_id), first, owner.context))
        if attachment and attachment not in owner.attachments:
            assert found is NotFoundError
        elif (
            attachment and owner.attachments[attachment] not in (None, thread_id)
        ) or thread_id in owner.threads:
            assert found is ConflictError
        else:
            assert found is None
            owner.ask(owner.add(thread_id, None, self.births), first)
            if attachment:
                owner.attachments[attachment] = thread_id

    @rule(user=USERS, thread_id=THREADS, title=TEXTS)
    def title_thread(self, user: str, thread_id: str, title: str) -> None:
        """Title a thread that has no title."""
        owner = self.users[user]
        found = self.outcome(self.store.title_thread(thread_id, title, owner.context))
        kept = owner.threads.get(thread_id)
        assert found == (kept.title is None if kept else NotFoundError)
        if kept and kept.title is None:
            kept.title = title

    @rule(user=USERS, thread_id=THREADS)
    def delete_thread(self, user: str, thread_id: str) -> None:
        """Delete a thread, or nothing."""
        owner = self.users[user]
        assert self.outcome(self.store.delete_thread(thread_id, owner.context)) is None
        if owner.threads.pop(thread_id, None):
            owner.attachments = {
                key: bound for key, bound in owner.attachments.items() if bound != thread_id
            }

    @rule(user=USERS, thread_id=THREADS, title=st.none() | TEXTS)
    def change_thread(self, user: str, thread_id: str, title: str | None) -> None:
        """Change a thread that is there."""
        owner = self.users[user]

        def change(changed: ThreadMetadata) -> None:
            changed.title = title

        found = self.outcome(self.store.change_thread(thread_id, change, owner.context))
        if kept := owner.threads.get(thread_id):
            kept.title = found.title
            assert found == thread(thread_id, title=title)
        else:
            assert found is NotFoundError

    @rule(user=USERS, thread_id=THREADS, archived=st.none() | st.booleans())
    def read_or_archive(self, user: str, thread_id: str, archived: bool | None) -> None:
        """Read a thread, put it away, or take it back."""
        owner = self.users[user]
        call = (
            self.store.mark_read(thread_id, owner.context)
            if archived is None
            else self.store.archive_thread(thread_id, archived, owner.context)
        )
        found = self.outcome(call)
        kept = owner.threads.get(thread_id)
        assert found is (None if kept else NotFoundError)
        if kept and archived is None:
            kept.read = kept.next_seq - 1
        elif kept and archived is not None:
            kept.archived = archived

    @rule(user=USERS, thread_id=THREADS, item_id=ITEMS, text=TEXTS, add=st.booleans())
    def ask(self, user: str, thread_id: str, item_id: str, text: str, add: bool) -> None:
        """Write as the user, anew or again; saving what is there is no activity."""
        owner = self.users[user]
        item = question(item_id, text=text)
        write = self.store.add_thread_item if add else self.store.save_item
        found = self.outcome(write(thread_id, item, owner.context))
        kept = owner.threads.get(thread_id)
        assert found is (None if kept else NotFoundError)
        if kept and not add and item_id in kept.items:
            kept.put(item)
        elif kept:
            owner.ask(kept, item)

    @rule(
        user=USERS,
        order=ORDERS,
        limit=LIMITS,
        after=st.none() | THREADS,
        archived=st.booleans(),
    )
    def read_summaries(
        self, user: str, order: str, limit: int, after: str | None, archived: bool
    ) -> None:
        """Read a page of the list by activity."""
        owner = self.users[user]
        page = self.outcome(
            self.store.load_summaries(limit, after, order, owner.context, archived=archived)
        )
        last = owner.threads.get(after) if after else None
        if after and last is None:
            assert page is NotFoundError
            return
        rows = [
            (thread_id, kept)
            for thread_id, kept in owner.threads.items()
            if kept.archived == archived
            and (
                last is None
                or (kept.active > last.active if order == "asc" else kept.active < last.active)
            )
        ]
        rows.sort(key=lambda row: row[1].active, reverse=order == "desc")
        assert [
            (each.thread.id, each.thread.title, each.preview, each.unread) for each in page.data
        ] == [(thread_id, kept.title, kept.newest, kept.unread) for thread_id, kept in rows[:limit]]
        assert page.has_more == (len(rows) > limit)

    @rule(user=USERS, word=st.sampled_from([*WORDS, "pea", "PLUM", "tree"]), limit=LIMITS)
    def search(self, user: str, word: str, limit: int) -> None:
        """Look for a word, page by page."""
        owner = self.users[user]
        found: list[tuple[str, str | None]] = []
        after = None
        while True:
            page = self.outcome(self.store.search(word, limit, after, owner.context))
            found += [(hit.thread_id, hit.item_id) for hit in page.data]
            if (after := page.after) is None:
                break
        expected = {
            (thread_id, item_id)
            for thread_id, kept in owner.threads.items()
            for item_id, text in [
                (None, kept.title),
                *[(item_id, message_text(row.item)) for item_id, row in kept.items.items()],
            ]
            if text and any(each.startswith(word.lower()) for each in index_words(text).split())
        }
        assert len(found) == len(set(found))
        assert set(found) == expected

    @rule(user=USERS, thread_id=THREADS, item_id=ITEMS, text=TEXTS, add=st.booleans())
    def write_item(self, user: str, thread_id: str, item_id: str, text: str, add: bool) -> None:
        """Write an item, new or old; one without text is hidden."""
        owner = self.users[user]
        item: ThreadItem = message(item_id, text) if text else hidden(item_id)
        write = self.store.add_thread_item if add else self.store.save_item
        found = self.outcome(write(thread_id, item, owner.context))
        kept = owner.threads.get(thread_id)
        assert found is (None if kept else NotFoundError)
        if kept:
            kept.put(item)

    @rule(user=USERS, thread_id=THREADS, item_ids=st.lists(ITEMS, max_size=3))
    def delete_items(self, user: str, thread_id: str, item_ids: list[str]) -> None:
        """Delete items, there or not."""
        owner = self.users[user]
        call = (
            self.store.delete_thread_item(thread_id, item_ids[0], owner.context)
            if len(item_ids) == 1
            else self.store.delete_thread_items(thread_id, item_ids, owner.context)
        )
        assert self.outcome(call) is None
        if kept := owner.threads.get(thread_id):
            for item_id in item_ids:
                kept.items.pop(item_id, None)
                kept.feedback.pop(item_id, None)

    @rule(user=USERS, thread_id=THREADS, item_ids=st.lists(ITEMS, max_size=3), kind=KINDS)
    def add_feedback(self, user: str, thread_id: str, item_ids: list[str], kind: Any) -> None:
        """Judge items."""
        owner = self.users[user]
        found = self.outcome(self.store.add_feedback(thread_id, item_ids, kind, owner.context))
        kept = owner.threads.get(thread_id)
        known = kept is not None and kept.items.keys() >= set(item_ids)
        assert found is (None if known else NotFoundError)
        if kept and known:
            kept.feedback.update(dict.fromkeys(item_ids, kind))

    @rule(user=USERS, attachment=ATTACHMENTS, thread_id=st.none() | THREADS)
    def save_attachment(self, user: str, attachment: str, thread_id: str | None) -> None:
        """Write an attachment's record."""
        owner = self.users[user]
        self.outcome(
            self.store.save_attachment(file(attachment, thread_id=thread_id), owner.context)
        )
        owner.attachments[attachment] = thread_id

    @rule(user=USERS, attachment=ATTACHMENTS)
    def delete_attachment(self, user: str, attachment: str) -> None:
        """Delete an attachment's record."""
        owner = self.users[user]
        self.outcome(self.store.delete_attachment(attachment, owner.context))
        owner.attachments.pop(attachment, None)

    @rule(
        user=USERS,
        thread_id=THREADS,
        order=ORDERS,
        limit=LIMITS,
        after=st.none() | ITEMS,
        shown=st.booleans(),
    )
    def read_items(
        self, user: str, thread_id: str, order: str, limit: int, after: str | None, shown: bool
    ) -> None:
        """Read a page of items from the beginning, or behind an id."""
        kept = self.users[user].threads.get(thread_id)
        row = kept.items.get(after) if kept and after else None
        known = kept is not None and (after is None or row is not None)
        self.check_items(
            user, thread_id, order, limit, after, row.seq if row else None, shown, known
        )

    @precondition(lambda self: self.cursors)
    @rule(data=st.data(), order=ORDERS, limit=LIMITS, shown=st.booleans())
    def read_on(self, data: Any, order: str, limit: int, shown: bool) -> None:
        """Go on from a page that may have changed since, in either direction."""
        cursor = data.draw(st.sampled_from(self.cursors))
        owner = self.users[cursor.user]
        if cursor.thread_id is None:
            self.check_threads(cursor.user, order, limit, cursor.text, cursor.seq, known=True)
            return
        kept = owner.threads.get(cursor.thread_id)
        if kept is None or kept.birth == cursor.birth:
            self.check_items(
                cursor.user,
                cursor.thread_id,
                order,
                limit,
                cursor.text,
                cursor.seq,
                shown,
                known=kept is not None,
            )

    @rule(user=USERS, order=ORDERS, limit=LIMITS, after=st.none() | THREADS)
    def read_threads(self, user: str, order: str, limit: int, after: str | None) -> None:
        """Read a page of threads from the beginning, or behind an id."""
        kept = self.users[user].threads.get(after) if after else None
        known = after is None or kept is not None
        self.check_threads(user, order, limit, after, kept.seq if kept else None, known=known)

    def check_items(
        self,
        user: str,
        thread_id: str,
        order: str,
        limit: int,
        after: str | None,
        seq: int | None,
        shown: bool,
        known: bool,
    ) -> None:
        """Compare a page of items with the model's."""
        owner = self.users[user]
        page = self.outcome(
            self.store.load_thread_items(
                thread_id, after, limit, order, owner.context, include_hidden=not shown
            )
        )
        if not known:
            assert page is NotFoundError
            return
        kept = owner.threads[thread_id]
        rows = [
            row
            for row in behind(kept.items.values(), order, seq)
            if not (shown and row.item.type == "hidden_context_item")
        ]
        assert page.data == [row.item for row in rows[:limit]]
        assert page.has_more == (page.after is not None) == (len(rows) > limit)
        if page.after:
            self.cursors.append(
                Cursor(page.after, user, thread_id, kept.birth, rows[limit - 1].seq)
            )

    def check_threads(
        self, user: str, order: str, limit: int, after: str | None, seq: int | None, *, known: bool
    ) -> None:
        """Compare a page of threads with the model's."""
        owner = self.users[user]
        page = self.outcome(self.store.load_threads(limit, after, order, owner.context))
        if not known:
            assert page is NotFoundError
            return
        rows = behind(owner.threads.values(), order, seq)
        ids = {id(kept): thread_id for thread_id, kept in owner.threads.items()}
        assert [row.id for row in page.data] == [ids[id(row)] for row in rows[:limit]]
        assert [row.title for row in page.data] == [row.title for row in rows[:limit]]
        assert page.has_more == (page.after is not None) == (len(rows) > limit)
        if page.after:
            self.cursors.append(Cursor(page.after, user, None, 0, rows[limit - 1].seq))

    @invariant()
    def same(self) -> None:
        """All that both users can see is what the model says."""
        self.run(self._same())

    async def _same(self) -> None:
        for owner in self.users.values():
            threads = await self.store.load_threads(9, None, "asc", owner.context)
            assert {row.id: row.title for row in threads.data} == {
                thread_id: kept.title for thread_id, kept in owner.threads.items()
            }
            for thread_id, kept in owner.threads.items():
                page = await self.store.load_thread_items(thread_id, None, 9, "asc", owner.context)
                assert page.data == [row.item for row in kept.items.values()]
                feedback = await self.store.load_feedback(thread_id, owner.context)
                assert feedback == kept.feedback
            for attachment_id, bound in owner.attachments.items():
                found = await self.store.load_attachment(attachment_id, owner.context)
                assert found == file(attachment_id, thread_id=bound)


def behind(rows: Any, order: str, seq: int | None) -> list[Any]:
    """Return the model's rows behind a position, in an order."""
    ordered = sorted(rows, key=lambda row: row.seq, reverse=order == "desc")
    if seq is None:
        return ordered
    return [row for row in ordered if (row.seq > seq if order == "asc" else row.seq < seq)]


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


def test_any_history_is_as_the_model_says(url: str) -> None:
    """Thirty random histories of forty steps, the same ones each time."""
    with asyncio.Runner() as runner:
        store = open_store(url, data_dir=Path())
        runner.run(store.open())

        class Machine(StoreMachine):
            pass

        Machine.store = store
        Machine.run = staticmethod(runner.run)
        run_state_machine_as_test(Machine, settings=HISTORIES)
        runner.run(store.aclose())
