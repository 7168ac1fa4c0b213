"""`chatkeep copy`: all conversations of one database, into another one of any kind."""

import asyncio
import itertools
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from chatkeep.cli.opening import config_option, opened_store, read_settings
from chatkeep.errors import CopyError
from chatkeep.settings import Settings

if TYPE_CHECKING:
    from chatkeep.ports import FileStorage, Store
    from chatkeep.upkeep.copy_state import CopyState

    type _Storages = tuple[FileStorage, FileStorage] | None

_EVERY = 10_000
"""Records between two lines, where there is no terminal."""


@click.command()
# All in one: of a URL too many, click would show the password.
@click.argument("urls", nargs=-1, metavar="SOURCE_URL TARGET_URL")
@click.option(
    "--files",
    nargs=2,
    metavar="SOURCE TARGET",
    help="Also copy the bytes of attachments from one storage's URL to another's.",
)
@config_option
def copy(urls: tuple[str, ...], files: tuple[str, str] | None, config: Path | None) -> None:
    """Copy all conversations from one database to another one, and compare them.

    The target must be empty, or a copy that was broken off, which then goes on. Stop the servers
    that use them first.
    """
    if len(urls) != 2:  # noqa: PLR2004
        raise click.UsageError("Name two databases: SOURCE_URL TARGET_URL.")
    asyncio.run(_copy(urls[0], urls[1], files, read_settings(config)))


async def _copy(
    source_url: str, target_url: str, files: tuple[str, str] | None, settings: Settings
) -> None:
    from chatkeep.files import open_storage  # noqa: PLC0415 - loads the SDKs
    from chatkeep.stores import open_store  # noqa: PLC0415
    from chatkeep.upkeep.copy_state import CopyState, place_of  # noqa: PLC0415

    places = tuple(place_of(url) for url in (source_url, target_url, *(files or ())))
    if places[0] == places[1] or (files and places[2] == places[3]):
        raise click.UsageError("Source and target are the same.")
    storages = None
    if files:
        ours, theirs = (open_storage(url, data_dir=settings.data_dir) for url in files)
        storages = ours, theirs
    directory = settings.data_dir / "copies"
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(opened_store(source_url, settings))
        target = open_store(target_url, data_dir=settings.data_dir)
        stack.push_async_callback(target.aclose)
        await target.open()
        state = CopyState.find(directory, places)
        if await _is_empty(target, storages):
            state = CopyState.begin(directory, places)
        if state is None:
            raise CopyError(
                f"{places[1]} (or the target of the files) is not empty, and what is in it is no "
                "copy of this source that was broken off. Name an empty one."
            )
        await _run(source, target, storages, state)


async def _is_empty(target: "Store", storages: "_Storages") -> bool:
    from chatkeep.upkeep.copying import is_empty  # noqa: PLC0415 - loads the SDKs
    from chatkeep.upkeep.copying_files import has_files  # noqa: PLC0415

    return await is_empty(target) and (storages is None or not await has_files(storages[1]))


async def _run(source: "Store", target: "Store", storages: "_Storages", state: "CopyState") -> None:
    from chatkeep.upkeep.copying import compare, copy_records  # noqa: PLC0415 - loads the SDKs
    from chatkeep.upkeep.copying_files import compare_files, copy_files  # noqa: PLC0415

    resumed = sum(table.count for table in state.tables.values())
    if resumed:
        click.echo(f"going on behind {resumed:,} records", err=True)
    state.save()
    with _Progress("copied") as progress:
        await copy_records(source, target, state, progress.report)
        if storages:
            await copy_files(*storages, progress.report)
    copied = sum(table.count for table in state.tables.values())
    try:
        with _Progress("compared", 2 * copied) as progress:
            count, digest = await compare(source, target, progress.report)
        same = await compare_files(*storages) if storages else None
    except CopyError:
        state.restart()
        raise
    state.remove()
    click.echo(f"{count:,} records, the same in both: sha256 {digest}")
    if same is not None:
        click.echo(f"{same:,} files, the same in both")


class _Progress:
    """A bar on a terminal, else a line now and then; on standard error."""

    def __init__(self, verb: str, length: int | None = None) -> None:
        self._verb = verb
        self._counts: dict[str, int] = {}
        self._bar: Any = None
        if sys.stderr.isatty():
            self._bar = click.progressbar(
                None if length else itertools.count(),
                length=length or None,
                label=verb,
                file=sys.stderr,
                show_pos=True,
            )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)
        else:
            for what, count in self._counts.items():
                self._line(what, count)

    def report(self, what: str, more: int) -> None:
        """Take note of progress."""
        before = self._counts.get(what, 0)
        self._counts[what] = before + more
        if self._bar is not None:
            self._bar.label = f"{self._verb} {what}"
            self._bar.update(more)
        elif before // _EVERY != (before + more) // _EVERY:
            self._line(what, before + more)

    def _line(self, what: str, count: int) -> None:
        click.echo(f"{self._verb} {count:,} {what}", err=True)
