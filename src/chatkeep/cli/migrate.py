"""`chatkeep migrate`: the database's schema, brought to the one this version needs."""

import asyncio
import sys
from pathlib import Path

import click

from chatkeep.settings import Settings, load_settings
from chatkeep.telemetry.logging import configure


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if something is to do.")
@click.option("--config", type=click.Path(path_type=Path), help="A settings file.")
def migrate(check: bool, config: Path | None) -> None:
    """Bring the database's schema up to date."""
    settings = load_settings(file=config)
    configure(settings.log.format, settings.log.level)
    done = asyncio.run(_run(settings, check=check))
    if not done:
        click.echo("The database is up to date.")
    for revision in done:
        click.echo(f"{'pending' if check else 'applied'} {revision}")
    sys.exit(1 if check and done else 0)


async def _run(settings: Settings, *, check: bool) -> tuple[str, ...]:
    # Drivers are loaded for what the settings name, after a mistake in these has been told.
    from chatkeep.stores import (  # noqa: PLC0415
        apply_migrations,
        default_url,
        pending_migrations,
    )

    secret = settings.database.url
    url = secret.get_secret_value() if secret else default_url(settings.data_dir)
    run = pending_migrations if check else apply_migrations
    return await run(url, data_dir=settings.data_dir)
