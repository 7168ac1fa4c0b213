"""Shares of a thread, for its owner: made, listed, revoked."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chatkeep.errors import ConflictError, InvalidRequestError
from chatkeep.http.asking import Asking
from chatkeep.http.bodies import read_json
from chatkeep.ids import new_id
from chatkeep.ports import Share, Store

MAX_SHARES = 100
"""Of one thread."""

_MAX_ORDER = 1_024  # bytes
_SECRET_BYTES = 32
_TEN_YEARS = 315_360_000  # seconds


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    expires_in: int | None = Field(None, ge=1, le=_TEN_YEARS)


@dataclass(frozen=True, slots=True)
class SharesEndpoint:
    """Makes the links that `/share/` answers."""

    store: Store
    asking: Asking

    def routes(self) -> list[Route]:
        """Return where this answers."""
        return [
            Route("/chatkit/threads/{thread_id}/shares", self.create, methods=["POST"]),
            Route("/chatkit/threads/{thread_id}/shares", self.list, methods=["GET"]),
            Route("/chatkit/shares/{share_id}", self.delete, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        """Share a thread as it is; the link is told this once, and not stored."""
        asked = await self.asking(request)
        thread_id = request.path_params["thread_id"]
        order = _parse(await read_json(request, _MAX_ORDER))
        if len(await self.store.load_shares(thread_id, asked.context)) >= MAX_SHARES:
            raise ConflictError(f"A conversation has at most {MAX_SHARES} links; revoke some.")
        expires_at = None
        if order.expires_in is not None:
            expires_at = datetime.now(UTC) + timedelta(seconds=order.expires_in)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        share = await self.store.create_share(
            thread_id, new_id("shr"), digest_of(secret), expires_at, asked.context
        )
        url = f"{asked.context.base_url}/share/{secret}"
        return asked.json(_shown(share) | {"url": url}, HTTPStatus.CREATED)

    async def list(self, request: Request) -> Response:
        """Answer with the shares of a thread, oldest first."""
        asked = await self.asking(request)
        shares = await self.store.load_shares(request.path_params["thread_id"], asked.context)
        return asked.json({"data": [_shown(share) for share in shares]})

    async def delete(self, request: Request) -> Response:
        """Revoke a share. Idempotent."""
        asked = await self.asking(request)
        await self.store.delete_share(request.path_params["share_id"], asked.context)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=asked.headers)


def digest_of(secret: str) -> str:
    """Return what is stored of a secret. It has 256 random bits, so one hash is enough."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _parse(body: bytes) -> _Order:
    try:
        return _Order.model_validate_json(body)
    except ValidationError as error:
        raise InvalidRequestError(
            f"expires_in: nothing, or 1 to {_TEN_YEARS} seconds; there are no other fields"
        ) from error


def _shown(share: Share) -> dict[str, Any]:
    expires_at = share.expires_at
    return {
        "id": share.id,
        "created_at": share.created_at.isoformat(),
        "expires_at": None if expires_at is None else expires_at.isoformat(),
    }
