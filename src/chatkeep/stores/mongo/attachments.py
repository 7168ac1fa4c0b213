"""The records of attachments."""

from chatkit.types import Attachment

from chatkeep.context import RequestContext
from chatkeep.errors import ConflictError, NotFoundError
from chatkeep.stores.encoding import decode_attachment, encode_attachment, now
from chatkeep.stores.mongo.asking import found, key_of
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.writing import Writing


class Attachments(Writing):
    """The attachments' part of the store."""

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        """Store an attachment's record, new or changed."""
        key, record = key_of(context), encode_attachment(attachment)
        put = self._statements.put_attachment(key, attachment.id, record, now())
        queue = (*key, attachment.id)
        await self._command(context, queue, lambda commands: commands.update(put))

    async def bind_attachment(
        self, attachment_id: str, thread_id: str, context: RequestContext
    ) -> None:
        """Make an attachment part of a thread."""
        key, say = key_of(context), self._statements
        bind = say.bind_attachment(key, attachment_id, thread_id)
        queue = (*key, attachment_id)
        if not await self._command(context, queue, lambda commands: commands.update(bind)):
            await self._one(say.load_attachment(key, attachment_id))
            raise ConflictError("A file of this message is part of another conversation.")

    async def replace_attachment(
        self, old: Attachment, new: Attachment, context: RequestContext
    ) -> bool:
        """Store an attachment's record if it is still `old`; say whether that happened."""
        key, say = key_of(context), self._statements
        before, after = encode_attachment(old).body, encode_attachment(new).body
        replace = say.replace_attachment(key, old.id, before, after)

        async def work(commands: Commands, repeated: bool) -> bool:
            if await commands.update(replace):
                return True
            row = found(await commands.one(say.load_attachment(key, old.id)))
            return bool(repeated and row["body"] == after)

        return await self._write_once(context, (*key, old.id), work)

    async def load_attachment(self, attachment_id: str, context: RequestContext) -> Attachment:
        """Load an attachment's record."""
        row = await self._one(self._statements.load_attachment(key_of(context), attachment_id))
        if (attachment := decode_attachment(row["thread_id"], row["body"])) is None:
            raise NotFoundError
        return attachment

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        """Delete an attachment's record."""
        key = key_of(context)
        delete = self._statements.delete_attachment(key, attachment_id)

        async def work(commands: Commands) -> None:
            await self._refuse_if_held(commands, key)
            await commands.delete(delete)

        await self._write(context, (*key, attachment_id), work)
