"""`chatkeep usage`: what was spent, by tenant, user and model."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from chatkeep.cli.opening import config_option, database_url, opened_store, read_settings

_HEADINGS = ("tenant", "user", "model", "requests", "input", "cached", "output", "cost", "no price")
_MAX_DAYS = 3_660


@click.command()
@click.option("--tenant", help="A tenant and each of its users; without it, all tenants.")
@click.option("--user", help="One user of the tenant.")
@click.option("--model", help="One model, as the catalog calls it.")
@click.option(
    "--days", default=30, type=click.IntRange(1, _MAX_DAYS), help="Days, today among them (UTC)."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line.")
@config_option
def usage(
    tenant: str | None,
    user: str | None,
    model: str | None,
    days: int,
    as_json: bool,
    config: Path | None,
) -> None:
    """Sum up tokens and costs by model: of tenants, of a tenant's users, or of one user."""
    if user is not None and tenant is None:
        raise click.UsageError("--user needs --tenant: each tenant has its own users.")
    report = asyncio.run(_load(tenant, user, model, days, config))
    if as_json:
        for row in report:
            click.echo(json.dumps(row))
        return
    if not report:
        click.echo("Nothing was spent.")
        return
    lines = [_HEADINGS, *[_cells(row) for row in report]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


async def _load(
    tenant: str | None, user: str | None, model: str | None, days: int, config: Path | None
) -> Sequence[dict[str, Any]]:
    settings = read_settings(config)
    from chatkeep.upkeep.spending import load_report  # noqa: PLC0415 - loads the SDKs, slowly

    async with opened_store(database_url(settings), settings) as store:
        return await load_report(store, days=days, tenant=tenant, user=user, model=model)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of a line; names are shown without control characters."""
    cells = (
        row["tenant"],
        "(all)" if row["user"] is None else row["user"],
        row["model"],
        str(row["requests"]),
        str(row["input_tokens"]),
        str(row["cached_tokens"]),
        str(row["output_tokens"]),
        f"{row['cost']} {row['currency']}",
        str(row["unpriced"] or ""),
    )
    return tuple("".join(c if c.isprintable() else "?" for c in cell) for cell in cells)
