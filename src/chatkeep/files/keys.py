"""Where an attachment's bytes are: `tenant-/user-/attachment/upload`.

Tenant and user come from tokens of anybody's making, so they are written in base 32, which no
file system, and no case-blind one, takes for something else; a sweep reads them back. The last
part is new for every upload: two uploads that race never write to the same place.
"""

import base64
import re
import secrets
from typing import NamedTuple

_SEGMENT = 200  # file systems take 255 bytes
_ID = "atc_[0-9a-z]{36}"
_KEY = re.compile(rf"([a-z2-7/]*)-/([a-z2-7/]*)-/({_ID})/[0-9a-f]{{32}}")


class Place(NamedTuple):
    """Whose attachment a key belongs to."""

    tenant: str
    user: str
    attachment_id: str


def tenant_prefix(tenant: str) -> str:
    """Return the prefix of all files of a tenant."""
    return _encode(tenant)


def is_attachment_id(text: str) -> bool:
    """Whether this can be the id of an attachment of ours, and so a part of a key."""
    return re.fullmatch(_ID, text) is not None


def owner_prefix(tenant: str, user: str) -> str:
    """Return the prefix of all files of a user."""
    return f"{tenant_prefix(tenant)}/{_encode(user)}"


def attachment_prefix(place: Place) -> str:
    """Return the prefix of all uploads of an attachment."""
    return f"{owner_prefix(place.tenant, place.user)}/{place.attachment_id}"


def new_key(place: Place) -> str:
    """Return a key for one upload."""
    return f"{attachment_prefix(place)}/{secrets.token_hex(16)}"


def read_key(key: str) -> Place | None:
    """Return whose a key is; None for a key that is not one of ours."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    try:
        return Place(_decode(match[1]), _decode(match[2]), match[3])
    except ValueError:
        return None


def _encode(name: str) -> str:
    text = base64.b32encode(name.encode()).decode().rstrip("=").lower()
    parts = [text[at : at + _SEGMENT - 1] for at in range(0, len(text), _SEGMENT - 1)]
    # The mark at the end keeps one name's folder from being inside another's.
    return "/".join(parts) + "-"


def _decode(text: str) -> str:
    joined = text.replace("/", "").upper()
    return base64.b32decode(joined + "=" * (-len(joined) % 8)).decode()
