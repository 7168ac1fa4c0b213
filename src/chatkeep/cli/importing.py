"""`chatkeep import`: conversations that were exported, given to a user."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chatkeep.cli.opening import (
    attachments_of,
    config_option,
    context_of,
    database_url,
    opened_store,
    read_settings,
    tenant_option,
    user_option,
)

if TYPE_CHECKING:
    from chatkeep.transfer.restore import ImportReport


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@tenant_option
@user_option
@config_option
def import_file(file: Path, tenant: str, user: str, config: Path | None) -> None:
    """Restore conversations from FILE, which `chatkeep export` wrote as JSON, for a user.

    Nothing is stored of a document that is not valid; conversations that the user has stay as
    they are.
    """
    report = asyncio.run(_import(file, tenant, user, config))
    click.echo(f"imported {report.imported}, there already {len(report.skipped)}")


async def _import(file: Path, tenant: str, user: str, config: Path | None) -> "ImportReport":
    settings = read_settings(config)
    from chatkeep.transfer.restore import import_threads  # noqa: PLC0415 - loads the SDKs

    document = await asyncio.to_thread(file.open, "rb")
    with document:
        async with opened_store(database_url(settings), settings) as store:
            attachments = attachments_of(store, settings)
            return await import_threads(store, attachments, document, context_of(tenant, user))
