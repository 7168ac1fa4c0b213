"""Links to files: whoever has one may do what it says, until it ends.

An upload or a download carries no cookie when it comes from an element on another site or from an
`<img>`, so the link itself is the permission. It names one operation on one attachment of one
user; all of it is signed, and nothing of it is stored.
"""

import base64
import binascii
import hashlib
import hmac
import json
import math
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from chatkeep.errors import LinkError

type Operation = Literal["upload", "download", "shared"]

# The key also signs cookies: what is signed for one purpose must be worthless for the other.
_PURPOSE = b"chatkeep.files.link.v1"


class Grant(NamedTuple):
    """What a link allows, in the clear: whoever has one can read tenant and user.

    A `shared` one is for strangers, and names neither: its user is the share.
    """

    operation: Operation
    tenant: str
    user: str
    attachment_id: str
    size: int


class LinkSigner:
    """Makes the query value of a link, and reads it.

    Args:
        key: The server's key; every instance of one service needs the same.
        now: The time, in seconds since 1970.
    """

    def __init__(self, key: bytes, *, now: Callable[[], float] = time.time) -> None:
        self._key = hmac.digest(key, _PURPOSE, hashlib.sha256)
        self._now = now

    def sign(self, grant: Grant, seconds: float) -> str:
        """Return a token for the grant that is good for some seconds."""
        claims = [*grant, math.ceil(self._now() + seconds)]
        payload = _encode(json.dumps(claims, separators=(",", ":")).encode())
        return f"{payload}.{_encode(self._signature(payload))}"

    def read(self, token: str, operation: Operation, attachment_id: str) -> Grant:
        """Return what a token allows.

        Raises:
            LinkError: It is not ours, was changed, has ended, or is for something else.
        """
        payload, _, signature = token.partition(".")
        try:
            given = _decode(signature)
            if not hmac.compare_digest(given, self._signature(payload)):
                raise LinkError
            *claims, expires = json.loads(_decode(payload))
        except (ValueError, binascii.Error):
            raise LinkError from None
        grant = Grant(*claims)
        if (grant.operation, grant.attachment_id) != (operation, attachment_id):
            raise LinkError
        if self._now() >= expires:
            raise LinkError("This link has expired.")
        return grant

    def _signature(self, payload: str) -> bytes:
        return hmac.digest(self._key, payload.encode(), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    padded = text.encode("ascii") + b"=" * (-len(text) % 4)
    data = base64.b64decode(padded, altchars=b"-_", validate=True)
    if _encode(data) != text:
        raise ValueError("more than one text for the same bytes")
    return data
