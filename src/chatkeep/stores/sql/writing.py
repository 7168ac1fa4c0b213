"""Writing a conversation inside a transaction, for everything that does so."""

from collections.abc import Sequence
from typing import Any

from chatkit.types import ThreadItem, ThreadMetadata

from chatkeep.errors import ConflictError, HeldError, NotFoundError
from chatkeep.stores.encoding import encode_item, encode_thread, message_text, now
from chatkeep.stores.sql.base import Parameters, SqlBase, found, in_order, params
from chatkeep.stores.sql.database import Connection
from chatkeep.stores.words import entry_words


def item_values(key: Parameters, item: ThreadItem) -> Parameters:
    """Return the parameters to write an item with; `key` names user and thread.

    Raises:
        ValueError: The item holds something that JSON cannot.
    """
    text = message_text(item)
    words = None if text is None else entry_words(key["p_tenant"], key["p_owner"], text)
    fields = {**encode_item(item)._asdict(), "item": item.id, "words": words, "now": now()}
    return {**key, **params(fields)}


def thread_values(key: Parameters, thread: ThreadMetadata) -> Parameters:
    """Return the parameters to write a thread with; `key` names the user.

    Raises:
        ValueError: The thread holds something that JSON cannot.
    """
    fields = {**encode_thread(thread)._asdict(), "next_seq": 1, "read_seq": 0, "now": now()}
    return {**key, **params({"thread": thread.id, **fields})}


class SqlWriting(SqlBase):
    """The steps that transactions are made of."""

    async def _insert_thread(self, connection: Connection, values: Parameters) -> bool:
        """Store a thread, at its position, if there is none with its id; say whether it was."""
        created = await connection.execute(self._sql.insert_thread, values)
        if not created.rowcount:
            return False
        await self._add_title(connection, values)
        return True

    async def _create_thread(
        self,
        connection: Connection,
        thread: Parameters,
        message: Parameters,
        attachment_ids: Sequence[str],
        *,
        earlier: Sequence[Parameters] = (),
        repeated: bool,
    ) -> None:
        """Store a new thread and its first message, as `Store.create_thread` has it.

        What is `earlier` comes before the message.

        Raises:
            NotFoundError: An attachment is not there.
            ConflictError: The thread exists, and not from an earlier try of this.
        """
        # The owner's row is locked first, as wherever a message is stored.
        if "p_seq" not in thread:
            thread = {**thread, "p_seq": await self._take_thread_seq(connection, thread)}
        # The author of the message, which is the last one, has read it all.
        place = len(earlier) + 1
        values = {**thread, "p_next_seq": place + 1, "p_read_seq": place}
        await self._bind_attachments(connection, message, attachment_ids)
        if await self._insert_thread(connection, values):
            for seq, item in enumerate([*earlier, message], start=1):
                await connection.execute(self._sql.put_item, {**item, "p_seq": seq})
                await self._index_item(connection, item)
        elif not (repeated and await self._has_item(connection, message)):
            raise ConflictError

    async def _bind_attachments(
        self, connection: Connection, key: Parameters, attachment_ids: Sequence[str]
    ) -> None:
        """Make attachments part of the thread.

        Raises:
            NotFoundError: One is not there.
            ConflictError: One is part of another thread, which would lose it with this one.
        """
        for attachment_id in in_order(attachment_ids):
            bind = {**key, "p_attachment": attachment_id}
            if not (await connection.execute(self._sql.bind_attachment, bind)).rowcount:
                found((await connection.execute(self._sql.load_attachment, bind)).first())
                raise ConflictError("A file of this message is part of another conversation.")

    async def _put_item(self, connection: Connection, values: Parameters) -> None:
        """Store an item behind the others, or in its place if it is there already.

        Raises:
            NotFoundError: There is no such thread.
        """
        take: Any = self._sql.take_item_seq
        if values["p_type"] == "user_message":
            take = self._sql.take_question_seq
            if "p_active_seq" not in values:
                # The owner's row is locked before the thread's, as where a thread is created.
                active = await self._take_thread_seq(connection, values)
                values = {**values, "p_active_seq": active}
        seq = (await connection.execute(take, values)).scalar_one_or_none()
        if seq is None:
            raise NotFoundError
        await connection.execute(self._sql.put_item, {**values, "p_seq": seq})
        await self._index_item(connection, values)

    async def _save_item(self, connection: Connection, values: Parameters) -> None:
        """Store an item in its place, or behind the others if it is new.

        Raises:
            NotFoundError: There is no such thread.
        """
        # Unlike an added item, a saved one is nearly always there.
        if (await connection.execute(self._sql.update_item, values)).rowcount:
            await self._index_item(connection, values)
        else:
            await self._put_item(connection, values)

    async def _index_item(self, connection: Connection, values: Parameters) -> None:
        # What is no message may have been one until now.
        statement = self._sql.delete_text if values["p_words"] is None else self._sql.put_text
        await connection.execute(statement, values)

    async def _index_title(self, connection: Connection, values: Parameters) -> None:
        """Make the thread's present title, and no other, be found; `values` has it."""
        await connection.execute(self._sql.delete_title_text, values)
        await self._add_title(connection, values)

    async def _add_title(self, connection: Connection, values: Parameters) -> None:
        """Make the title of a thread that had none be found; `values` has it."""
        if title := values["p_title"]:
            words = entry_words(values["p_tenant"], values["p_owner"], title)
            await connection.execute(self._sql.insert_title_text, {**values, "p_words": words})

    async def _drop_thread(self, connection: Connection, key: Parameters) -> None:
        """Delete a thread and everything that belongs to it.

        Raises:
            HeldError: A legal hold forbids it.
        """
        await self._refuse_if_held(connection, key)
        if (await connection.execute(self._sql.delete_thread, key)).rowcount:
            await connection.execute(self._sql.delete_attachments_of_thread, key)

    async def _refuse_if_held(self, connection: Connection, key: Parameters) -> None:
        """Return when nothing forbids to delete.

        Raises:
            HeldError: A legal hold does.
        """
        if (await connection.execute(self._sql.load_own_hold, key)).first() is not None:
            raise HeldError

    async def _take_thread_seq(self, connection: Connection, values: Parameters) -> int:
        taken = await connection.execute(self._sql.take_thread_seq, values)
        return int(taken.scalar_one_or_none())

    async def _has_item(self, connection: Connection, values: Parameters) -> bool:
        return (await connection.execute(self._sql.item_seq, values)).first() is not None
