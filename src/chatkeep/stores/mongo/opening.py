"""The start: a client, the checks, and what is said when one of them fails."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import (
    ConfigurationError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from chatkeep.errors import SettingsError, StoreUnavailableError
from chatkeep.stores.mongo.commands import Database
from chatkeep.stores.mongo.schema import VERSION, stored_version
from chatkeep.stores.mongo.url import MongoUrl

MAJORITY = WriteConcern("majority", j=True)

_DEFAULTS: dict[str, Any] = {
    "connectTimeoutMS": 5_000,
    "appName": "chatkeep",
}
_OLDEST = 7
_OLDEST_WIRE = 21
"""MongoDB's version, and the number of its wire protocol."""

_REFUSALS = {
    13: "The user of the database {place} lacks a right: the role readWrite is needed.",
    18: "The server of {place} refused the user or the password.",
    85: "The database {place} has an index of the same name as one of Chatkeep's.",
    86: "The database {place} has an index of the same name as one of Chatkeep's.",
    8000: "The server of {place} refused the user or the password.",  # Atlas
}


def connect(url: MongoUrl) -> Database:
    """Return the database at a URL; nothing is sent yet.

    Raises:
        SettingsError: The driver cannot use the URL.
    """
    defaults = {
        name: value for name, value in _DEFAULTS.items() if name.lower() not in url.parameters
    }
    # At DEBUG it would log whole commands, and with them what users wrote.
    logging.getLogger("pymongo.command").setLevel(logging.WARNING)
    try:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url.text, **defaults)
    except (PyMongoError, ValueError, OSError):
        # Its message may show a part of the URL.
        raise SettingsError("The parameters of the database URL do not go together.") from None
    return client.get_database(
        url.database,
        read_preference=ReadPreference.PRIMARY,
        read_concern=ReadConcern("local"),
        write_concern=MAJORITY,
    )


async def check(database: Database, url: MongoUrl) -> None:
    """Check the server and the version of the schema.

    Raises:
        SettingsError: They do not allow a start.
    """
    hello = await database.client.admin.command("hello")
    if hello["maxWireVersion"] < _OLDEST_WIRE:
        raise SettingsError(
            f"The server of {url.place} is too old: Chatkeep needs MongoDB {_OLDEST} or newer."
        )
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise SettingsError(
            f"The server of {url.place} is standalone; Chatkeep needs a replica set, of one "
            "member at least, because only there are transactions."
        )
    stored = await stored_version(database)
    if stored > VERSION:
        raise SettingsError(
            f"The database {url.place} was made by a newer version of Chatkeep (its schema is "
            f"{stored}, this version knows {VERSION})."
        )


@contextmanager
def explained(url: MongoUrl) -> Iterator[None]:
    """Make what hinders the start one line without a password."""
    try:
        yield
    except StoreUnavailableError as error:
        raise _explained(error.__cause__, url.place) from error.__cause__


def _explained(cause: BaseException | None, place: str) -> SettingsError | StoreUnavailableError:
    if isinstance(cause, OperationFailure) and cause.code in _REFUSALS:
        return SettingsError(_REFUSALS[cause.code].format(place=place))
    reason = _reason(cause)
    if "SSL" in reason or "certificate" in reason.lower():
        return SettingsError(
            f"No encrypted connection to {place}: {reason}. See tls in the documentation."
        )
    return StoreUnavailableError(f"The database {place} cannot be reached: {reason}.")


def _reason(cause: BaseException | None) -> str:
    """Return an error as a part of a line."""
    text = str(cause).partition("\n")[0]
    if isinstance(cause, ServerSelectionTimeoutError):
        text = text.partition(", Timeout: ")[0].partition(" (configured timeouts: ")[0]
        if "Name or service not known" in text or "nodename nor servname" in text:
            return "its host is not known"
        if text.startswith("No "):
            return "no primary of a replica set answers; has the set been initiated?"
    if isinstance(cause, ConfigurationError):
        return "the name in its mongodb+srv:// URL cannot be resolved"
    return text.rstrip(".")
