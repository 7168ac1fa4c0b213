"""Writing a conversation inside a transaction, for everything that does so."""

from collections.abc import Sequence

from chatkit.types import ThreadItem, ThreadMetadata

from chatkeep.errors import ConflictError, HeldError
from chatkeep.stores.encoding import encode_item, encode_thread, message_text, now
from chatkeep.stores.mongo.asking import Asking, found
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.statements import Document, Key, NewItem, NewThread
from chatkeep.stores.mongo.statements.common import words_of


class Writing(Asking):
    """The steps that transactions are made of."""

    async def _create_thread(
        self,
        commands: Commands,
        key: Key,
        thread: NewThread,
        message: NewItem,
        attachment_ids: Sequence[str],
        *,
        earlier: Sequence[NewItem] = (),
        repeated: bool,
    ) -> None:
        """Store a new thread and its first message, whose place is behind that of the title.

        What is `earlier` comes between them.

        Raises:
            NotFoundError: An attachment is not there.
            ConflictError: The thread exists, and not from an earlier try of this.
        """
        say = self._statements
        await self._bind_attachments(commands, key, thread.id, attachment_ids)
        if await commands.one(say.has_thread(key, thread.id)) is None:
            await commands.update(say.put_thread(key, thread))
            for seq, item in enumerate([*earlier, message], start=1):
                await commands.update(say.put_item(key, thread.id, item, seq, thread.doc + seq))
        elif not (repeated and await commands.one(say.item_seq(key, thread.id, message.id))):
            raise ConflictError

    async def _bind_attachments(
        self, commands: Commands, key: Key, thread_id: str, attachment_ids: Sequence[str]
    ) -> None:
        """Make attachments part of the thread.

        Raises:
            NotFoundError: One is not there.
            ConflictError: One is part of another thread, which would lose it with this one.
        """
        say = self._statements
        for attachment_id in attachment_ids:
            if not await commands.update(say.bind_attachment(key, attachment_id, thread_id)):
                found(await commands.one(say.load_attachment(key, attachment_id)))
                raise ConflictError("A file of this message is part of another conversation.")

    async def _take_places(self, commands: Commands, key: Key, docs: int) -> Document:
        """Take the owner's next place among threads, and places among what is found."""
        return found(await commands.take(self._statements.take_places(key, docs)))

    async def _reserve(self, commands: Commands, key: Key, docs: int) -> int:
        """Return the first of some places among what is found.

        Beside the transaction, and before all else: in it, all of a user's conversations would
        wait for one another.

        Raises:
            NotFoundError: The user has no thread.
        """
        take = self._statements.take_docs(key, docs)
        taken = found(await commands.aside().take(take))
        return int(taken["last_doc"]) - docs + 1

    async def _ask(
        self, commands: Commands, key: Key, thread_id: str, item: NewItem, place: Document
    ) -> None:
        """Store a message of the user's behind the others, at a place among the threads.

        Raises:
            NotFoundError: There is no such thread.
        """
        say = self._statements
        take = say.take_question_seq(key, thread_id, place["last_seq"], now())
        # First: whoever else writes to the thread now gives way, or has been before.
        seq = found(await commands.take(take))["last_seq"]
        await commands.update(say.put_item(key, thread_id, item, seq, place["last_doc"]))

    async def _put_item(
        self, commands: Commands, key: Key, thread_id: str, item: NewItem, doc: int
    ) -> None:
        """Store an item behind the others, or in its place if it is there already.

        Raises:
            NotFoundError: There is no such thread.
        """
        say = self._statements
        if asks(item):
            place = await self._take_places(commands, key, 0)
            await self._ask(commands, key, thread_id, item, {**place, "last_doc": doc})
            return
        seq = found(await commands.take(say.take_item_seq(key, thread_id)))["last_seq"]
        await commands.update(say.put_item(key, thread_id, item, seq, doc))

    async def _drop_parts(self, commands: Commands, key: Key, thread_id: str) -> None:
        """Delete what belongs to a thread."""
        say = self._statements
        turns = await commands.find(say.turns_of_thread(key, thread_id))
        if turns:
            turn_ids = [turn["id"] for turn in turns]
            await commands.delete(say.delete_events(key, turn_ids))
            await commands.delete(say.delete_tool_calls(key, turn_ids))
            await commands.delete(say.delete_turns_of_thread(key, thread_id))
        await commands.delete(say.delete_shares_of_thread(key, thread_id))
        await commands.delete(say.delete_items_of_thread(key, thread_id))
        await commands.delete(say.delete_attachments_of_thread(key, thread_id))

    async def _refuse_if_held(self, commands: Commands, key: Key) -> None:
        """Return when nothing forbids to delete.

        Raises:
            HeldError: A legal hold does.
        """
        if await commands.one(self._statements.own_hold(key)) is not None:
            raise HeldError


def new_item(item: ThreadItem) -> NewItem:
    """Return an item as it is written.

    Raises:
        ValueError: The item holds something that JSON cannot.
    """
    return NewItem(item.id, encode_item(item), words_of(message_text(item)))


def new_thread(thread: ThreadMetadata, place: Document, *, docs: int, last_seq: int) -> NewThread:
    """Return a thread as it is written, at a place of which it has the first of so many docs.

    Raises:
        ValueError: The thread holds something that JSON cannot.
    """
    doc = place["last_doc"] - docs + 1
    return NewThread(thread.id, encode_thread(thread), place["last_seq"], doc, last_seq, now())


def asks(item: NewItem) -> bool:
    """Say whether this is a message of the user's."""
    return item.record.type == "user_message"
