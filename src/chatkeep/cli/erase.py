"""`chatkeep erase`: everything of a user or a tenant, gone, and a receipt for it."""

import asyncio
import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chatkeep import __version__
from chatkeep.cli.opening import (
    config_option,
    database_url,
    file_storage,
    new_file,
    opened_store,
    read_settings,
    tenant_option,
)
from chatkeep.errors import ChatkeepError, HeldError

if TYPE_CHECKING:
    from chatkeep.ports import Store


@click.command()
@tenant_option
@click.option("--user", help="The user; without it, all users of the tenant are erased.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-scrub", is_flag=True, help="Leave what deleted records left in the database.")
@click.option(
    "--receipt",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new file for the receipt, which is printed as well.",
)
@config_option
def erase(
    tenant: str,
    user: str | None,
    yes: bool,
    no_scrub: bool,
    receipt: Path | None,
    config: Path | None,
) -> None:
    """Erase everything of a user, or of a tenant, for good."""
    if not tenant or user == "":
        raise click.UsageError("A tenant and a user have at least one character.")
    # That the receipt can be written is found out before anything is erased.
    with new_file(receipt) if receipt else nullcontext() as file:
        content, problem = asyncio.run(
            _erase(tenant, user, config, ask=not yes, scrub=not no_scrub)
        )
        text = json.dumps(content, indent=2, ensure_ascii=False)
        click.echo(text)
        if file is not None:
            file.write(f"{text}\n".encode())
    if problem is not None:
        raise problem


async def _erase(
    tenant: str, user: str | None, config: Path | None, *, ask: bool, scrub: bool
) -> tuple[dict[str, Any], ChatkeepError | None]:
    """Erase, and return the receipt and what was not done."""
    settings = read_settings(config)
    from chatkeep.upkeep import erasing  # noqa: PLC0415 - loads the SDKs, which takes seconds

    url, storage = database_url(settings), file_storage(settings)
    async with opened_store(url, settings) as store:
        if holds := await erasing.find_holds(store, tenant, user):
            whose = sorted("the tenant" if hold.user is None else hold.user for hold in holds)
            raise HeldError(
                f"Nothing was erased: there is a legal hold on {', '.join(whose[:3])}"
                f"{' and others' if whose[3:] else ''}; see `chatkeep hold list`."
            )
        if ask:
            counts = await erasing.count_records(store, tenant, user)
            await asyncio.to_thread(_confirm, tenant, user, counts)
        erasure = await erasing.erase(store, storage, tenant, user)
        problem = await _scrub(store) if scrub else None
    receipt = erasing.receipt_of(
        erasure,
        version=__version__,
        backend=url.partition(":")[0].partition("+")[0],
        scrubbed=scrub and problem is None,
    )
    if not erasure.complete:
        problem = ChatkeepError("Something was written again and again meanwhile; erase once more.")
    return receipt, problem


async def _scrub(store: "Store") -> ChatkeepError | None:
    """Scrub, and return what hindered it: the records are gone all the same."""
    try:
        await store.scrub()
    except ChatkeepError as error:
        return error
    return None


def _confirm(tenant: str, user: str | None, counts: dict[str, int]) -> None:
    whose = f"tenant {tenant!r}, all users" if user is None else f"tenant {tenant!r}, user {user!r}"
    click.echo(f"Of {whose}, these will be gone for good, and all files:", err=True)
    for table, count in counts.items():
        click.echo(f"  {count:>9,} {table}", err=True)
    click.confirm("Erase them?", abort=True, err=True)
