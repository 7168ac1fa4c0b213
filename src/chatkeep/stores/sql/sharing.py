"""Shares on SQL."""

from datetime import datetime
from typing import Any

from chatkit.types import Page, ThreadItem

from chatkeep.context import Principal, RequestContext
from chatkeep.errors import ConflictError, NotFoundError
from chatkeep.ports.records import Share
from chatkeep.stores.encoding import decode_item, milliseconds, moment_of, now
from chatkeep.stores.paging import build_page, check_page, read_cursor
from chatkeep.stores.sql.base import SqlBase, found, key_of, key_of_principal, params
from chatkeep.stores.sql.database import Connection
from chatkeep.stores.sql.prepared import Row

_SCHEME = "share"


class SqlSharing(SqlBase):
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
        expires = None if expires_at is None else milliseconds(expires_at)
        fields = {"share": share_id, "digest": digest, "expires": expires, "now": now()}
        values = {**key_of(context, thread=thread_id), **params(fields)}

        async def work(connection: Connection) -> Any:
            # Locked: neither deleted nor written to until the share is there.
            found((await connection.execute(self._sql.load_thread_locked, values)).first())
            await connection.execute(self._sql.insert_share, values)
            row = (await connection.execute(self._sql.load_share, values)).first()
            if row is None or (row.digest, row.thread_id) != (digest, thread_id):
                raise ConflictError
            return row

        return _share(await self._write(context, work))

    async def load_shares(self, thread_id: str, context: RequestContext) -> list[Share]:
        """Return the shares of a thread, oldest first, expired ones too."""
        key = key_of(context, thread=thread_id)
        rows = await self._db.fetch(self._sql.load_shares, key)
        if not rows:
            await self._one(self._sql.has_thread, key)
        return [_share(row) for row in rows]

    async def delete_share(self, share_id: str, context: RequestContext) -> None:
        """Revoke a share."""
        key = key_of(context, share=share_id)

        async def work(connection: Connection) -> None:
            await connection.execute(self._sql.delete_share, key)

        await self._write(context, work)

    async def find_share(self, digest: str) -> Share:
        """Return the share with this digest."""
        share = _share(await self._one(self._sql.find_share, params({"digest": digest})))
        if share.expires_at is not None and milliseconds(share.expires_at) <= now():
            raise NotFoundError
        return share

    async def load_shared_items(
        self, share: Share, after: str | None, limit: int
    ) -> Page[ThreadItem]:
        """Load a page of what is shared, oldest first, without hidden items."""
        limit, _ = check_page(limit, "asc")
        key = key_of_principal(share.principal, share=share.id)
        scope = ("shared", key["p_tenant"], key["p_owner"], share.id)
        start = 0 if after is None else found(read_cursor(scope, after))
        page = {**key, "p_start": start, "p_limit": limit + 1}
        rows = await self._db.fetch(self._sql.shared_item_page, page)
        if not rows:
            await self._one(self._sql.load_share, key)
        return build_page(rows, limit, scope, lambda row: decode_item(row.type, row.body))


def _share(row: Row) -> Share:
    return Share(
        id=row.id,
        principal=Principal(row.tenant, row.owner, _SCHEME),
        thread_id=row.thread_id,
        until=row.until,
        created_at=moment_of(row.created_at),
        expires_at=None if row.expires_at is None else moment_of(row.expires_at),
    )
