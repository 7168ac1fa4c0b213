"""Shares: who knows the secret may read."""

from datetime import datetime

from chatkit.types import Page, ThreadItem

from chatkeep.context import Principal, RequestContext
from chatkeep.errors import ConflictError, NotFoundError
from chatkeep.ports.records import Share
from chatkeep.stores.encoding import decode_item, milliseconds, moment_of, now
from chatkeep.stores.mongo.asking import Asking, found, key_of, placed
from chatkeep.stores.mongo.commands import Commands
from chatkeep.stores.mongo.statements import Behind, Document, Key
from chatkeep.stores.paging import build_page, check_page, read_cursor

_SCHEME = "share"


class Sharing(Asking):
    """Reading a thread without being its owner."""

    async def create_share(
        self,
        thread_id: str,
        share_id: str,
        digest: str,
        expires_at: datetime | None,
        context: RequestContext,
    ) -> Share:
        """Share a thread as it is now with those who know the secret of this digest."""
        key, say = key_of(context), self._statements
        expires = None if expires_at is None else milliseconds(expires_at)
        created = now()

        async def work(commands: Commands) -> Document:
            # Locked: neither deleted nor written to until the share is there.
            until = found(await commands.take(say.lock_thread(key, thread_id)))["last_seq"]
            row = await commands.one(say.load_share(key, share_id))
            if row is None:
                if await commands.one(self._across.find_share(digest)) is not None:
                    raise ConflictError
                await commands.update(
                    say.put_share(key, share_id, thread_id, digest, until, created, expires)
                )
                row = found(await commands.one(say.load_share(key, share_id)))
            if (row["digest"], row["thread_id"]) != (digest, thread_id):
                raise ConflictError
            return row

        return _share(await self._write(context, (*key, thread_id), work))

    async def load_shares(self, thread_id: str, context: RequestContext) -> list[Share]:
        """Return the shares of a thread, oldest first, expired ones too."""
        key = key_of(context)
        rows = await self._db.find(self._statements.load_shares(key, thread_id))
        if not rows:
            await self._one(self._statements.has_thread(key, thread_id))
        return [_share(row) for row in rows]

    async def delete_share(self, share_id: str, context: RequestContext) -> None:
        """Revoke a share."""
        key = key_of(context)
        delete = self._statements.delete_share(key, share_id)
        await self._command(context, (*key, share_id), lambda commands: commands.delete(delete))

    async def find_share(self, digest: str) -> Share:
        """Return the share with this digest."""
        share = _share(await self._one(self._across.find_share(digest)))
        if share.expires_at is not None and milliseconds(share.expires_at) <= now():
            raise NotFoundError
        return share

    async def load_shared_items(
        self, share: Share, after: str | None, limit: int
    ) -> Page[ThreadItem]:
        """Load a page of what is shared, oldest first, without hidden items."""
        limit, _ = check_page(limit, "asc")
        key, say = Key(share.principal.tenant, share.principal.user), self._statements
        scope = ("shared", *key, share.id)
        start = 0 if after is None else found(read_cursor(scope, after))
        kept = await self._one(say.load_share(key, share.id))
        behind = Behind(start, "asc", limit + 1)
        page = say.shared_item_page(key, kept["thread_id"], kept["until"], behind)
        rows = placed(await self._db.find(page))
        return build_page(
            rows, limit, scope, lambda row: decode_item(row.document["type"], row.document["body"])
        )


def _share(row: Document) -> Share:
    return Share(
        id=row["id"],
        principal=Principal(row["tenant"], row["owner"], _SCHEME),
        thread_id=row["thread_id"],
        until=row["until"],
        created_at=moment_of(row["created_at"]),
        expires_at=None if row["expires_at"] is None else moment_of(row["expires_at"]),
    )
