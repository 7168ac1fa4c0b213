"""What a Redis URL says, checked before anything connects.

No message shows more of a URL than the names of parameters: it may hold a password.
"""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from chatkeep.errors import SettingsError

EXAMPLE = "redis://user:password@redis.example.org:6379/0"

_PORT = 6379
_TLS = {"rediss", "valkeys"}
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_KNOWN = ("prefix", "ssl_cert_reqs", *_FILES)
_LONGEST_PREFIX = 64


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A checked URL.

    Attributes:
        host: The server.
        port: Where it listens.
        database: The number of the database. Messages do not belong to one: it is a part of the
            channel's name instead.
        username: Who we are, or None.
        password: How we prove it, or None. Not in the `repr`.
        tls: Whether the connection is encrypted.
        verified: Whether its certificate has to be good.
        files: `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile`, if they are named.
        channel: Where messages are sent.
    """

    host: str
    port: int
    database: int
    username: str | None
    password: str | None = field(repr=False)
    tls: bool
    verified: bool
    files: dict[str, str]
    channel: str


def read_url(url: str) -> RedisUrl:
    """Return what a `redis://`, `rediss://`, `valkey://` or `valkeys://` URL says.

    Raises:
        SettingsError: It cannot be read, or has a parameter that is not known.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "localhost", parts.port
    except ValueError:
        raise _unreadable() from None  # its message shows a part of the URL
    # Each of these is what an unescaped character of a password looks like.
    if parts.netloc.count("@") > 1 or "@" in parts.path + parts.query or parts.fragment:
        raise _unreadable()
    number = parts.path.strip("/") or "0"
    if not (number.isascii() and number.isdecimal()):
        raise SettingsError(f"relay.url: behind the host stands a number, as in {EXAMPLE}")
    tls = parts.scheme.lower() in _TLS
    query = _parameters(parts.query, tls=tls)
    return RedisUrl(
        host,
        _PORT if port is None else port,
        int(number),
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        tls,
        query.get("ssl_cert_reqs", "required") == "required",
        {name: query[name] for name in _FILES if name in query},
        f"{query.get('prefix', 'chatkeep')}:{int(number)}:wake",
    )


def _parameters(text: str, *, tls: bool) -> dict[str, str]:
    try:
        query = dict(parse_qsl(text, strict_parsing=True)) if text else {}
    except ValueError:
        raise _unreadable() from None
    for name in query:
        if name not in _KNOWN:
            shown = name if name.isidentifier() and name.isascii() else "with a strange name"
            raise SettingsError(
                f"relay.url: the parameter {shown} is not known. Known are {', '.join(_KNOWN)}."
            )
        if name.startswith("ssl_") and not tls:
            raise SettingsError(f"relay.url: {name} needs TLS, which is rediss:// or valkeys://")
        if name in _FILES and not Path(query[name]).is_file():
            raise SettingsError(f"relay.url: {name} names a file that is not there")
    if query.get("ssl_cert_reqs", "none") not in {"required", "none"}:
        raise SettingsError("relay.url: ssl_cert_reqs is required or none")
    prefix = query.get("prefix", "-")
    if len(prefix) > _LONGEST_PREFIX or not (prefix.isascii() and prefix.isprintable()):
        raise SettingsError(
            f"relay.url: prefix has at most {_LONGEST_PREFIX} characters, printable and ASCII"
        )
    return query


def _unreadable() -> SettingsError:
    return SettingsError(
        "relay.url cannot be read. In user names and passwords, characters other than letters, "
        "digits and -._~ are written as %XX (an @ is %40). Example: " + EXAMPLE
    )
