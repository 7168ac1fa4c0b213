"""Lists of conversations by last activity, and searching."""

import re
from collections.abc import Sequence

from chatkeep.stores.encoding import checked_text
from chatkeep.stores.mongo.schema import ITEMS, THREADS
from chatkeep.stores.mongo.statements.common import (
    Behind,
    Document,
    Find,
    Key,
    Newest,
    Update,
    any_of,
    mine,
    page,
)

MESSAGES = ("user_message", "assistant_message")


class Finding:
    """How a conversation is found again."""

    def activity_page(self, key: Key, archived: bool, behind: Behind) -> Find:
        """The owner's threads behind a position by activity."""
        fields = ("title", "body", "active_at", "archived", "read_seq")
        return page(THREADS, mine(key, archived=archived), fields, behind, "active_seq")

    def summary_page(self, key: Key, archived: bool, behind: Behind) -> Find:
        """The owner's threads behind a position by activity, with their newest messages."""
        threads = self.activity_page(key, archived, behind)
        said, answered = (
            Newest(ITEMS, mine(key, type=any_of(types)), "id", "thread_id", shown)
            for types, shown in (
                (MESSAGES, ("type", "body")),
                (MESSAGES[1:], ("seq",)),
            )
        )
        return Find(
            THREADS,
            threads.filter,
            threads.fields,
            threads.limit,
            threads.sort,
            {"said": said, "answered": answered},
        )

    def thread_activity(self, key: Key, thread_id: str) -> Find:
        """A thread's position by activity."""
        return Find(THREADS, mine(key, id=thread_id), ("active_seq",), limit=1)

    def archive_thread(self, key: Key, thread_id: str, archived: bool) -> Update:
        """A thread, put away or taken back."""
        return Update(THREADS, mine(key, id=thread_id), {"$set": {"archived": archived}})

    def mark_read(self, key: Key, thread_id: str) -> Update:
        """A thread that has been read to its end."""
        change = [{"$set": {"read_seq": "$last_seq"}}]
        return Update(THREADS, mine(key, id=thread_id), change)

    def found_messages(self, key: Key, words: Sequence[str], behind: Behind) -> Find:
        """The messages with words that begin so."""
        whose = {**mine(key), **_with(words)}
        return page(ITEMS, whose, ("thread_id", "id", "type", "body"), behind, "doc")

    def found_titles(self, key: Key, words: Sequence[str], behind: Behind) -> Find:
        """The threads with such words in their titles."""
        return page(THREADS, {**mine(key), **_with(words)}, ("id", "title"), behind, "doc")

    def titles(self, key: Key, thread_ids: Sequence[str]) -> Find:
        """The titles of threads."""
        return Find(THREADS, mine(key, id=any_of(thread_ids)), ("id", "title"))


def _with(words: Sequence[str]) -> Document:
    each = [{"words": {"$regex": f"^{re.escape(checked_text(word))}"}} for word in words]
    return {"$and": each}
