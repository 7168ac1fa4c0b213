"""`chatkeep hold`: legal holds, which keep everything of a user or a tenant from being deleted."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import click

from chatkeep.cli.opening import (
    config_option,
    database_url,
    opened_store,
    read_settings,
    tenant_option,
)

_user_option = click.option("--user", help="The user; without it, the whole tenant is held.")


@click.group()
def hold() -> None:
    """Begin, end and list legal holds."""


@hold.command()
@tenant_option
@_user_option
@click.option("--reason", required=True, help="Why, for those who come later.")
@config_option
def add(tenant: str, user: str | None, reason: str, config: Path | None) -> None:
    """Begin a hold, or change its reason."""
    asyncio.run(_add(tenant, user, reason, config))
    click.echo(f"held: {_whose(tenant, user)}")


@hold.command()
@tenant_option
@_user_option
@config_option
def remove(tenant: str, user: str | None, config: Path | None) -> None:
    """End a hold."""
    if not asyncio.run(_remove(tenant, user, config)):
        raise click.ClickException(f"there is no hold on {_whose(tenant, user)}")
    click.echo(f"no longer held: {_whose(tenant, user)}")


@hold.command("list")
@config_option
def list_holds(config: Path | None) -> None:
    """List the holds: since when, tenant, user, reason."""
    lines = asyncio.run(_list(config))
    for line in lines or ["There are no holds."]:
        click.echo(line)


async def _add(tenant: str, user: str | None, reason: str, config: Path | None) -> None:
    settings = read_settings(config)
    from chatkeep.ports import Hold  # noqa: PLC0415 - loads the SDKs, which takes seconds

    async with opened_store(database_url(settings), settings) as store:
        await store.put_hold(Hold(tenant, user, reason, datetime.now(UTC)))


async def _remove(tenant: str, user: str | None, config: Path | None) -> bool:
    settings = read_settings(config)
    async with opened_store(database_url(settings), settings) as store:
        there = any((hold.tenant, hold.user) == (tenant, user) for hold in await store.load_holds())
        await store.delete_hold(tenant, user)
    return there


async def _list(config: Path | None) -> list[str]:
    settings = read_settings(config)
    async with opened_store(database_url(settings), settings) as store:
        return [
            f"{hold.created_at:%Y-%m-%d}  {_whose(hold.tenant, hold.user)}  {hold.reason}"
            for hold in await store.load_holds()
        ]


def _whose(tenant: str, user: str | None) -> str:
    return f"tenant {tenant!r}" if user is None else f"user {user!r} of tenant {tenant!r}"
