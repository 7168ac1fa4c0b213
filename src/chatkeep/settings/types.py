"""Types of settings: how a value is written, and which values there can be.

The reasons that they raise are a part of one line, and never hold the value: it may be a secret.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from chatkeep.loopback import is_loopback


def comma_list(value: Any) -> Any:
    """Read `a, b` as two entries; a list stays one."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def comma_pairs(value: Any) -> Any:
    """Read `a=1, b=2` as a table; a table stays one."""
    if not isinstance(value, str):
        return value
    pairs = [part.rpartition("=") for part in comma_list(value)]
    if not all(name.strip() and separator for name, separator, _ in pairs):
        raise ValueError("an entry is not name=number")
    names = [name.strip() for name, _, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a name comes twice")
    return dict(zip(names, (number.strip() for _, _, number in pairs), strict=True))


def json_table(value: Any) -> Any:
    """Read a text as JSON; a table stays one."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("not JSON") from None  # its message shows a part of the value


def _url(value: str) -> str:
    """Refuse what no request can be sent to; such a URL else fails somewhere deep inside."""
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False  # its message shows a part of the value
    if not good:
        raise ValueError("not a URL of a server")
    if not value.isprintable() or " " in value:
        raise ValueError("has a space or a control character in it")
    return value


def _origin(value: str) -> str:
    """Return an origin as browsers write it; `*` would let every site act for our users."""
    origin = _url(value).lower().removesuffix("/")
    if origin.partition("://")[2] != urlsplit(origin).netloc or "@" in origin:
        raise ValueError("an origin is scheme, host and port only")
    return origin


def _key(value: SecretStr) -> SecretStr:
    """Return a key that can be sent in a header: pasted ones have line breaks and ellipses."""
    key = value.get_secret_value().strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError("has a character in it that no key has")
    return SecretStr(key)


def _key_url(value: str) -> str:
    """Return the URL of an issuer's keys: who can change them on the way can be anybody."""
    parts = urlsplit(_url(value))
    if "@" in parts.netloc:
        raise ValueError("has a user name or password in it")
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ValueError("http is for loopback addresses only, use https")
    return value


def _identifier(value: str) -> str:
    """Return a name that can stand in a token and in a line of text."""
    if not value.strip() or not value.isprintable():
        raise ValueError("is empty or has a control character in it")
    return value


def _proxy_url(value: SecretStr) -> SecretStr:
    """Return the URL of a proxy that we can speak to; it may have a password in it."""
    _url(value.get_secret_value())
    return value


Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(comma_list)
]
URL = Annotated[str, AfterValidator(_url)]
KeyURL = Annotated[str, AfterValidator(_key_url)]
Identifier = Annotated[str, Field(max_length=255), AfterValidator(_identifier)]
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
Key = Annotated[SecretStr, AfterValidator(_key)]
ProxyURL = Annotated[SecretStr, AfterValidator(_proxy_url)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")]
PublicURL = Annotated[str, AfterValidator(lambda value: _url(value).rstrip("/"))]
Types = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[a-z0-9.+-]+/([a-z0-9.+-]+|\*)$|^\*/\*$")], ...],
    BeforeValidator(comma_list),
]
HomePath = Annotated[Path, AfterValidator(Path.expanduser)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Seconds = Annotated[float, Field(gt=0)]
Days = Annotated[int, Field(le=36_500)]
