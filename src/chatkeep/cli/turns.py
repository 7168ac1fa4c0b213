"""`chatkeep turns`: what is being worked on, and what was not finished."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from chatkeep.cli.opening import config_option, database_url, opened_store, read_settings

_STATES = ("queued", "running", "interrupted", "failed", "cancelled", "completed")
_SHOWN = ("queued", "running", "interrupted")
_HEADINGS = ("turn", "state", "age", "last event", "tenant", "user", "reason or doing")


@click.command()
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(_STATES),
    help="A state to list; may be repeated. By default queued, running and interrupted.",
)
@click.option("--limit", default=100, type=click.IntRange(1, 10_000), help="How many, at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line.")
@config_option
def turns(states: tuple[str, ...], limit: int, as_json: bool, config: Path | None) -> None:
    """List turns, oldest first: whose, how old, their last event, and why or what for."""
    reports = asyncio.run(_load(states or _SHOWN, limit, config))
    if as_json:
        for report in reports:
            click.echo(json.dumps(report))
        return
    if not reports:
        click.echo("There are no such turns.")
        return
    rows = [_HEADINGS, *[_row(report) for report in reports]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


async def _load(states: tuple[str, ...], limit: int, config: Path | None) -> list[dict[str, Any]]:
    settings = read_settings(config)
    from chatkeep.ports import TurnState  # noqa: PLC0415 - loads the SDKs, which takes seconds
    from chatkeep.turns.reporting import turn_report  # noqa: PLC0415 - the same

    async with opened_store(database_url(settings), settings) as store:
        found = await store.load_turns([TurnState(state) for state in states], limit)
    now = datetime.now(UTC)
    return [turn_report(turn, now) for turn in found]


def _row(report: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of a line; what a client named is shown without control characters."""
    cells = (
        report["id"],
        report["state"],
        f"{report['age']:.0f} s",
        f"{report['last_event']}, {report['idle']:.0f} s ago",
        report["tenant"],
        report["user"],
        report["reason"] or report["doing"] or "",
    )
    return tuple("".join(c if c.isprintable() else "?" for c in cell) for cell in cells)
