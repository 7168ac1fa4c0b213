"""What the commands on stored data share: settings, store and files."""

import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from chatkeep.context import Principal, RequestContext
from chatkeep.errors import SettingsError
from chatkeep.settings import Settings, load_settings
from chatkeep.telemetry.logging import configure

if TYPE_CHECKING:
    from chatkeep.files.attachments import Attachments
    from chatkeep.ports import FileStorage, Store

config_option = click.option("--config", type=click.Path(path_type=Path), help="A settings file.")
tenant_option = click.option("--tenant", required=True, help="The tenant, as in its tokens.")
user_option = click.option("--user", required=True, help="The user, as in their tokens.")


def read_settings(config: Path | None) -> Settings:
    """Return the settings, logging set up by them: warnings and errors only."""
    settings = load_settings(file=config)
    configure(settings.log.format, "warning")
    return settings


def database_url(settings: Settings) -> str:
    """Return where conversations are kept."""
    # Drivers and SDKs are loaded for what the settings name, after a mistake has been told.
    from chatkeep.stores import default_url  # noqa: PLC0415

    secret = settings.database.url
    return secret.get_secret_value() if secret else default_url(settings.data_dir)


def context_of(tenant: str, user: str) -> RequestContext:
    """Return the context in which an operator acts for a user."""
    return RequestContext(Principal(tenant, user, "operator"), request_id="")


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file to write, which takes its place when the block ends well, and not before.

    Raises:
        click.UsageError: Something is there already, or nothing can be written there.
    """
    if path.exists():
        raise click.UsageError(f"{path} exists; nothing is written over it.")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written ({error.strerror}).") from error
    aside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(handle)
        aside.rename(path)
    finally:
        with suppress(FileNotFoundError):
            aside.unlink()


@asynccontextmanager
async def opened_store(url: str, settings: Settings) -> AsyncIterator["Store"]:
    """Open a store that is there; it is closed at the end.

    Raises:
        SettingsError: There is none, or its schema is not the one of this version.
        StoreUnavailableError: It cannot be reached.
    """
    from chatkeep.stores import open_store, pending_migrations  # noqa: PLC0415
    from chatkeep.upkeep.copy_state import place_of  # noqa: PLC0415

    # Opening would make a new file where a name is misspelt, and change an old one.
    if await pending_migrations(url, data_dir=settings.data_dir):
        raise SettingsError(
            f"{place_of(url)} is not there, or has an older schema; "
            "look at the name, or run `chatkeep migrate` on it first"
        )
    store = open_store(url, data_dir=settings.data_dir)
    await store.open()
    try:
        yield store
    finally:
        await store.aclose()


def file_storage(settings: Settings) -> "FileStorage":
    """Return where files are kept."""
    from chatkeep.files import open_storage  # noqa: PLC0415

    secret = settings.files.url
    url = secret.get_secret_value() if secret else None
    return open_storage(url, data_dir=settings.data_dir)


def attachments_of(store: "Store", settings: Settings) -> "Attachments":
    """Return the attachments of a store, with the limits of the settings and links of no use."""
    from chatkeep.configured import file_limits  # noqa: PLC0415
    from chatkeep.files.attachments import Attachments  # noqa: PLC0415
    from chatkeep.files.signing import LinkSigner  # noqa: PLC0415

    signer = LinkSigner(secrets.token_bytes(32))
    return Attachments(store, file_storage(settings), signer, file_limits(settings))
