"""What a MongoDB URL says, checked before anything connects.

The driver warns of a parameter that it does not know, and quotes parts of a URL that it cannot
read; here both are one line, which shows no more of the URL than the names of parameters.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_plus, urlsplit

from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri, split_options

from chatkeep.errors import SettingsError

EXAMPLE = "mongodb://user:password@db.example.org:27017/chatkeep?replicaSet=rs0"

_OURS = {
    "w": "majority",
    "journal": "true",
    "readconcernlevel": "local",
    "readpreference": "primary",
}
"""Parameters that would weaken what Chatkeep promises, and the only value that they may have."""

_REPLACED = ("serverselectiontimeoutms", "sockettimeoutms", "waitqueuetimeoutms", "wtimeoutms")
"""Parameters without effect where `timeoutMS` limits an operation as a whole."""

ATTEMPT = 10.0

_MISREAD = (PyMongoError, ValueError, TypeError, OSError, Warning)


@dataclass(frozen=True, slots=True)
class MongoUrl:
    """A checked URL.

    Attributes:
        text: The URL for the driver: it holds the password, and is left out of the `repr`.
        place: Where the servers are and what the database is called, to be shown.
        database: The name of the database.
        parameters: The names of the parameters, in lower case.
        attempt: Seconds that a try of an operation may take: `timeoutMS`.
    """

    text: str = field(repr=False)
    place: str
    database: str
    parameters: frozenset[str]
    attempt: float = ATTEMPT


def read_url(url: str) -> MongoUrl:
    """Return what a `mongodb://` or `mongodb+srv://` URL says. No name is looked up.

    Raises:
        SettingsError: It cannot be read, names no database, or has a parameter that is not known
            or not allowed.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _unreadable() from None  # its message shows a part of the URL
    # Each of these is what an unescaped character of a password looks like.
    if parts.netloc.count("@") > 1 or "@" in parts.path or parts.fragment:
        raise _unreadable()
    login, _, hosts = parts.netloc.rpartition("@")
    database = unquote(parts.path.removeprefix("/"))
    scheme = "mongodb+srv" if parts.scheme.lower() == "mongodb+srv" else "mongodb"
    if not _reads(f"mongodb://{login}{'@' if login else ''}{hosts}"):
        raise _unreadable()
    if scheme == "mongodb+srv" and ("," in hosts or ":" in hosts):
        raise SettingsError("A mongodb+srv:// URL names one host, without a port.")
    if not database or "." in database or not _reads(f"mongodb://h/{parts.path[1:]}"):
        raise SettingsError(f"A MongoDB URL names one database, as in {EXAMPLE}")
    parameters = _parameters(parts.query, scheme)
    attempt = float(parameters.get("timeoutms", ATTEMPT * 1000)) / 1000
    if not attempt:
        raise SettingsError("The parameter timeoutMS of the database URL is above 0.")
    query = f"?{parts.query}" if parts.query else ""
    text = f"{scheme}://{parts.netloc}{parts.path}{query}"
    if scheme == "mongodb" and not _reads(text):
        raise SettingsError("The parameters of the database URL do not go together.")
    place = f"{unquote(hosts)}/{database}"
    return MongoUrl(text, place, database, frozenset(parameters), attempt)


def _parameters(query: str, scheme: str) -> dict[str, str]:
    found = {}
    for part in query.split("&") if query else ():
        name, equals, value = part.partition("=")
        key = name.lower()
        found[key] = unquote_plus(value)
        if not equals:
            raise _unreadable()
        if not _reads(part, split_options):
            raise SettingsError(
                f"The parameter {_shown(name)} of the database URL is not known, or its value "
                "cannot be used."
            )
        if key.startswith("srv") and scheme != "mongodb+srv":
            raise SettingsError(f"The parameter {name} needs a mongodb+srv:// URL.")
        if key in _REPLACED:
            raise SettingsError(
                f"The parameter {name} of the database URL has no effect: use timeoutMS, the "
                "milliseconds that a try of an operation may take."
            )
        only = _OURS.get(key)
        if only is not None and found[key].lower() != only:
            raise SettingsError(
                f"The parameter {name} of the database URL can only be {only}, which is what "
                "Chatkeep uses."
            )
    return found


def _shown(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else "with a strange name"


def _reads(text: str, parse: Callable[[str], object] = parse_uri) -> bool:
    """Say whether the driver can read a URL, or a part of one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parse(text)
    except _MISREAD:
        return False
    return True


def _unreadable() -> SettingsError:
    return SettingsError(
        "The database URL cannot be read. In user names and passwords, characters other than "
        "letters, digits and -._~ are written as %XX (an @ is %40). Example: " + EXAMPLE
    )
