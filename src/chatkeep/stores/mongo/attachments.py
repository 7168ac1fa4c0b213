"""The records of attachments."""

from chatkit.types import Attachment

from chatkeep.context import RequestContext
from chatkeep.errors import NotFoundError
from chatkeep.stores.encoding import decode_attachment, encode_attachment
from chatkeep.stores.mongo.asking import Asking, key_of


class Attachments(Asking):
    """The attachments' part of the store."""

    async def save_attachment(self, attachment: Attachment, context: RequestContext) -> None:
        """Store an attachment's record, new or changed."""
        record = encode_attachment(attachment)
        put = self._statements.put_attachment(key_of(context), attachment.id, record)
        await self._db.command(lambda commands: commands.update(put))

    async def load_attachment(self, attachment_id: str, context: RequestContext) -> Attachment:
        """Load an attachment's record."""
        row = await self._one(self._statements.load_attachment(key_of(context), attachment_id))
        if (attachment := decode_attachment(row["thread_id"], row["body"])) is None:
            raise NotFoundError
        return attachment

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        """Delete an attachment's record."""
        delete = self._statements.delete_attachment(key_of(context), attachment_id)
        await self._db.command(lambda commands: commands.delete(delete))
