"""What a PostgreSQL URL says, checked before anything connects.

The driver would hand a parameter that it does not know to the server, and quote parts of a URL
that it cannot read; so the URL is taken apart here, and no message shows more of it than the names
of parameters.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from chatkeep.errors import SettingsError

EXAMPLE = "postgresql://user:password@db.example.org:5432/chatkeep"
POOL_SIZE = 10
CONNECT_TIMEOUT = 5.0

_DRIVER = (
    "host port sslmode sslrootcert sslcert sslkey sslcrl target_session_attrs "
    "ssl_min_protocol_version ssl_max_protocol_version"
).split()
"""Parameters that the driver reads, as libpq does."""

_OURS = ("pool_size", "connect_timeout", "statement_cache_size", "row_security")

_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_SECRET = ("password", "sslpassword")
_LARGEST_POOL = 500


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A checked URL.

    Attributes:
        dsns: A URL for the driver for each host, in the order in which they are tried: they hold
            the password, and are left out of the `repr`.
        place: Where the server is and what the database is called, to be shown.
        database: The name of the database.
        pool_size: How many connections a process may hold.
        connect_timeout: Seconds that connecting to one host may take.
        row_security: Whether the database itself keeps users apart, too.
        pooled: Whether a pooler gives each transaction whatever session is free.
    """

    dsns: tuple[str, ...] = field(repr=False)
    place: str
    database: str
    pool_size: int = POOL_SIZE
    connect_timeout: float = CONNECT_TIMEOUT
    row_security: bool = False
    pooled: bool = False


def read_url(url: str) -> PostgresUrl:
    """Return what a `postgres://` or `postgresql://` URL says.

    Raises:
        SettingsError: It cannot be read, names no database, or has a parameter that is not known.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _unreadable() from None  # its message shows a part of the URL
    # Each of these is what an unescaped character of a password looks like.
    if parts.netloc.count("@") > 1 or "@" in parts.path + parts.query or parts.fragment:
        raise _unreadable()
    login, _, hosts = parts.netloc.rpartition("@")
    if not all(_is_host(host) for host in hosts.split(",")):
        raise _unreadable()
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database:
        raise SettingsError(f"A PostgreSQL URL names one database, as in {EXAMPLE}")
    query = _parameters(parts.query)
    pool_size = _number(query, "pool_size", POOL_SIZE, _LARGEST_POOL)
    connect_timeout = _number(query, "connect_timeout", int(CONNECT_TIMEOUT), 600)
    row_security = _switch(query, "row_security")
    if (pooled := "statement_cache_size" in query) and query.pop("statement_cache_size") != "0":
        raise SettingsError(
            "The parameter statement_cache_size of the database URL is 0, for a pooler in "
            "transaction mode, or is left out."
        )
    # Not a standby: it may not have what was stored a moment ago, and takes no writes. What is
    # behind a pooler is for the pooler to choose: asking one session says nothing of the next.
    query.setdefault("target_session_attrs", "any" if pooled else "read-write")
    place = f"{hosts or query.get('host', 'localhost')}/{database}"
    login, path = f"{login}@" if login else "", quote(database, safe="")
    dsns = tuple(
        f"postgresql://{login}{host}/{path}?{urlencode(each)}"
        for host, each in _hosts(hosts, query)
    )
    return PostgresUrl(
        dsns,
        place,
        database,
        pool_size,
        connect_timeout,
        row_security=row_security,
        pooled=pooled,
    )


def _hosts(hosts: str, query: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each host with the parameters that go with it."""
    if hosts or "," not in query.get("host", ""):
        for host in hosts.split(","):
            yield host, query
        return
    names, ports = query["host"].split(","), query.get("port", "").split(",")
    ports = ports * len(names) if len(ports) == 1 else ports
    if len(ports) != len(names):
        raise SettingsError(
            "The parameter port of the database URL is one number, or one for each host."
        )
    for name, port in zip(names, ports, strict=True):
        yield "", {**query, "host": name, **({"port": port} if port else {})}


def _parameters(text: str) -> dict[str, str]:
    try:
        query = dict(parse_qsl(text, strict_parsing=True)) if text else {}
    except ValueError:
        raise _unreadable() from None
    if any(name in query for name in _SECRET):
        raise SettingsError(
            f"The password of a database stands before the host, as in {EXAMPLE}, or in the file "
            "~/.pgpass; not in a parameter."
        )
    for name in query:
        if name not in {*_DRIVER, *_OURS}:
            shown = name if name.isidentifier() and name.isascii() else "with a strange name"
            raise SettingsError(
                f"The parameter {shown} of the database URL is not known. Known are "
                f"{', '.join([*_DRIVER, *_OURS])}."
            )
    for name in _FILES:
        if name in query and not Path(query[name]).is_file():
            raise SettingsError(
                f"The parameter {name} of the database URL names a file that is not there."
            )
    return query


def _number(query: dict[str, str], name: str, default: int, largest: int) -> int:
    text = query.pop(name, str(default))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= largest):
        raise SettingsError(
            f"The parameter {name} of the database URL is a number from 1 to {largest}."
        )
    return int(text)


def _switch(query: dict[str, str], name: str) -> bool:
    text = query.pop(name, "off")
    if text not in {"on", "off"}:
        raise SettingsError(f"The parameter {name} of the database URL is on or off.")
    return text == "on"


def _is_host(text: str) -> bool:
    """Say whether this is `host`, `host:port`, `[::1]:port` or empty."""
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host, port = text, ""
    numeric = port.isascii() and port.isdecimal() and 0 < int(port) < 2**16
    bracketed = host.startswith("[") and host.endswith("]")
    return (numeric or not colon) and (bracketed or ":" not in host)


def _unreadable() -> SettingsError:
    return SettingsError(
        "The database URL cannot be read. In user names and passwords, characters other than "
        "letters, digits and -._~ are written as %XX (an @ is %40). Example: " + EXAMPLE
    )
