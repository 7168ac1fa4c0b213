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

_MISREAD = (PyMongoError, ValueError, TypeError, OSError, Warning)


@dataclass(frozen=True, slots=True)
class MongoUrl:
    """A checked URL.

    Attributes:
        text: The URL for the driver: it holds the password, and is left out of the `repr`.
        place: Where the servers are and what the database is called, to be shown.
        database: The name of the database.
        parameters: The names of the parameters, in lower case.
    """

    text: str = field(repr=False)
    place: str
    database: str
    parameters: frozenset[str]


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
    scheme = parts.scheme.lower()
    if not _reads(f"mongodb://{login}{'@' if login else ''}{hosts}"):
        raise _unreadable()
    if scheme == "mongodb+srv" and ("," in hosts or ":" in hosts):
        raise SettingsError("A mongodb+srv:// URL names one host, without a port.")
    if not database or "." in database or not _reads(f"mongodb://h/{parts.path[1:]}"):
        raise SettingsError(f"A MongoDB URL names one database, as in {EXAMPLE}")
    names = _parameters(parts.query, scheme)
    query = f"?{parts.query}" if parts.query else ""
    text = f"{scheme}://{parts.netloc}{parts.path}{query}"
    if scheme == "mongodb" and not _reads(text):
        raise SettingsError("The parameters of the database URL do not go together.")
    return MongoUrl(text, f"{unquote(hosts)}/{database}", database, names)


def _parameters(query: str, scheme: str) -> frozenset[str]:
    names = set()
    for part in query.split("&") if query else ():
        name, equals, value = part.partition("=")
        key = name.lower()
        names.add(key)
        if not equals:
            raise _unreadable()
        if not _reads(part, split_options):
            raise SettingsError(
                f"The parameter {_shown(name)} of the database URL is not known, or its value "
                "cannot be used."
            )
        if key.startswith("srv") and scheme != "mongodb+srv":
            raise SettingsError(f"The parameter {name} needs a mongodb+srv:// URL.")
        only = _OURS.get(key)
        if only is not None and unquote_plus(value).lower() != only:
            raise SettingsError(
                f"The parameter {name} of the database URL can only be {only}, which is what "
                "Chatkeep uses."
            )
    return frozenset(names)


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
