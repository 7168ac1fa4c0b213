"""What the commands on stored data share: settings, store and files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chatkeep.errors import SettingsError
from chatkeep.settings import Settings, load_settings
from chatkeep.telemetry.logging import configure

if TYPE_CHECKING:
    from chatkeep.ports import FileStorage, Store

config_option = click.option("--config", type=click.Path(path_type=Path), help="A settings file.")
tenant_option = click.option("--tenant", required=True, help="The tenant, as in its tokens.")


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
