"""`chatkeep` and `python -m chatkeep`: what is done before anything large is imported."""

from chatkeep.imports import import_later
from chatkeep.imports.building import built_when_used
from chatkeep.imports.collecting import for_good


def main() -> None:
    """Run a command."""
    import_later()
    with for_good(), built_when_used():
        from chatkeep.cli import main as run  # noqa: PLC0415 - later than the line before

    run()


if __name__ == "__main__":
    main()
