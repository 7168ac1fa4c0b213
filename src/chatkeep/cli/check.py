"""`chatkeep check`: the effective settings, and whether everything they name answers."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import BaseModel, SecretStr

from chatkeep.errors import ChatkeepError
from chatkeep.settings import load_settings, walk
from chatkeep.telemetry.logging import configure, tame_libraries

if TYPE_CHECKING:
    from chatkeep import Chatkeep
    from chatkeep.models.catalog import ModelEntry

type Probe = Callable[[], Awaitable[None]]


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="A settings file.")
def check(config: Path | None) -> None:
    """Print the settings, secrets masked, and probe every dependency."""
    settings = load_settings(file=config)
    configure(settings.log.format, "error")
    for dotted, value in walk(settings):
        for line in _lines(dotted, value):
            click.echo(line)
    click.echo()
    # The settings are shown before the SDKs take their seconds to load.
    from chatkeep.app import Chatkeep  # noqa: PLC0415

    failed = asyncio.run(_probe(Chatkeep(settings=settings)))
    sys.exit(1 if failed else 0)


def _lines(dotted: str, value: object) -> Iterator[str]:
    """Yield a setting as lines: of a table, or of several, one for each field that is set."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            if name in value.model_fields_set:
                yield from _lines(f"{dotted}.{name}", getattr(value, name))
    elif isinstance(value, tuple) and any(isinstance(entry, BaseModel) for entry in value):
        for number, entry in enumerate(value):
            yield from _lines(f"{dotted}[{number}]", entry)
    elif isinstance(value, dict) and any(isinstance(entry, BaseModel) for entry in value.values()):
        for name, entry in value.items():
            yield from _lines(f"{dotted}.{name}", entry)
    else:
        yield f"{dotted} = {_shown(value)}"


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "(none)"
    if isinstance(value, dict):
        return _shown(tuple(f"{name}={_shown(entry)}" for name, entry in value.items()))
    # A URL may have a password in it.
    return "(not set)" if value is None else re.sub(r"//[^/@]*@", "//********@", str(value))


def _models(entries: "Sequence[ModelEntry]") -> "dict[str, Probe]":
    """Return the probes of models; those of one endpoint are one."""
    found: dict[Probe, list[str]] = {}
    for entry in entries:
        found.setdefault(entry.probe, []).append(entry.id)
    return {f"model {', '.join(ids)}": probe for probe, ids in found.items()}


async def _probe(chatkeep: "Chatkeep") -> int:
    """Print what each dependency says, and return how many failed."""
    from chatkeep.relay.local import LocalRelay  # noqa: PLC0415

    failed = 0
    relay = chatkeep.relay
    tame_libraries()

    async def wakes() -> None:
        await relay.open(lambda _: None)
        await relay.ping()

    probes = {
        # Not the application: that would work on answers of instances that are gone.
        "database": chatkeep.store.open,
        **({} if isinstance(relay, LocalRelay) else {"relay": wakes}),  # it needs nothing else
        **chatkeep.auth.probes,
        **_models(chatkeep.catalog.entries),
    }
    try:
        for name, probe in probes.items():
            try:
                await probe()
            except ChatkeepError as error:
                failed += 1
                hint = getattr(error, "hint", None)
                click.echo(f"FAILED {name}: {error}" + (f" {hint}" if hint else ""))
            else:
                click.echo(f"ok     {name}")
    finally:
        await chatkeep.aclose()
    return failed
