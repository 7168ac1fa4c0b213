"""`chatkeep export`: the conversations of a user as a file, for people or for another server."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import click

from chatkeep.cli.opening import (
    attachments_of,
    config_option,
    context_of,
    database_url,
    new_file,
    opened_store,
    read_settings,
    tenant_option,
    user_option,
)

if TYPE_CHECKING:
    from chatkeep.ports import Store


@click.command()
@tenant_option
@user_option
@click.option("--thread", help="Only the conversation with this id.")
@click.option(
    "--format",
    type=click.Choice(["json", "markdown"]),
    default="json",
    help="What to write; Markdown is for one conversation, to be read.",
)
@config_option
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def export(
    tenant: str,
    user: str,
    thread: str | None,
    format: Literal["json", "markdown"],
    config: Path | None,
    file: Path | None,
) -> None:
    """Write the conversations of a user to a new FILE, or to standard output.

    Files that were attached are part of the JSON document.
    """
    if format == "markdown" and thread is None:
        raise click.UsageError("Markdown is for one conversation: name it with --thread.")
    with _output(file) as output:
        asyncio.run(_export(tenant, user, thread, format, config, output))


def _output(file: Path | None) -> AbstractContextManager[IO[bytes]]:
    return new_file(file) if file else nullcontext(sys.stdout.buffer)


async def _export(
    tenant: str,
    user: str,
    thread: str | None,
    format: Literal["json", "markdown"],
    config: Path | None,
    output: IO[bytes],
) -> None:
    settings = read_settings(config)
    from chatkeep.transfer.export import export_thread, export_user  # noqa: PLC0415 - slow

    context = context_of(tenant, user)
    async with opened_store(database_url(settings), settings) as store:
        read = attachments_of(store, settings).stream
        if thread is None:
            document = export_user(store, read, context)
            if not await _has_threads(store, tenant, user):
                click.echo("This user has no conversations.", err=True)
        else:
            document = export_thread(store, read, thread, context, format)
        await _write(document, output)


async def _has_threads(store: "Store", tenant: str, user: str) -> bool:
    page = await store.load_threads(1, None, "asc", context_of(tenant, user))
    return bool(page.data)


async def _write(document: AsyncGenerator[bytes], output: IO[bytes]) -> None:
    async with aclosing(document):
        async for chunk in document:
            await asyncio.to_thread(output.write, chunk)
    await asyncio.to_thread(output.flush)
