"""The command line: one file for each command."""

import sys

import click

from chatkeep.cli.check import check
from chatkeep.cli.copy import copy
from chatkeep.cli.erase import erase
from chatkeep.cli.export import export
from chatkeep.cli.hold import hold
from chatkeep.cli.importing import import_file
from chatkeep.cli.migrate import migrate
from chatkeep.cli.model import model
from chatkeep.cli.serve import serve
from chatkeep.cli.turns import turns
from chatkeep.cli.usage import usage
from chatkeep.errors import ChatkeepError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="chatkeep")
def cli() -> None:
    """Chatkeep: a self-hosted ChatKit server."""


commands = (serve, check, turns, usage, migrate, model, copy, erase, hold, export, import_file)
for command in commands:
    cli.add_command(command)


def main() -> None:
    """Run a command; an expected failure is one line, not a traceback."""
    try:
        cli.main(prog_name="chatkeep")
    except ChatkeepError as error:
        click.echo(f"chatkeep: {error}", err=True)
        sys.exit(2)
