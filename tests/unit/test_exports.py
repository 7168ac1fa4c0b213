"""What is public, what an import costs in dependencies, and that imports go down only."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import chatkeep
import chatkeep.testing

ROOT = Path(__file__).parents[2]


def test_the_public_names() -> None:
    """Adding a name is a decision; removing one breaks somebody."""
    assert sorted(chatkeep.__all__) == ["Chatkeep", "Settings", "__version__", "load_settings"]
    assert all(hasattr(chatkeep, name) for name in chatkeep.__all__)


def test_the_public_names_of_testing() -> None:
    """What outside backends prove themselves with."""
    assert sorted(chatkeep.testing.__all__) == [
        "CacheContract",
        "FileStorageContract",
        "RelayContract",
        "ScriptedProvider",
        "StoreContract",
    ]
    assert all(getattr(chatkeep.testing, name) for name in chatkeep.testing.__all__)


def test_the_version_is_the_distributions() -> None:
    """One number, in `pyproject.toml`."""
    assert chatkeep.__version__ == version("chatkeep")


def test_the_package_is_typed() -> None:
    """Type checkers of users read our annotations."""
    assert (Path(chatkeep.__file__).parent / "py.typed").is_file()


def test_what_runs_in_production_imports_no_test_tool_and_no_heavy_backend() -> None:
    """Neither the application nor the scripted provider needs pytest; drivers come when used."""
    code = (
        "import sys; import chatkeep.cli, chatkeep.testing.provider; "
        "print(sorted({'pytest', 'hypothesis', 'playwright', 'xllamacpp', 'alembic', 'aiosqlite',"
        " 'sqlalchemy'} & {*sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_imports_keep_the_contract() -> None:
    """`import-linter` finds every layer in its place (the contracts are in `pyproject.toml`)."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    run = subprocess.run(
        [*command, "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        capture_output=True,
        text=True,
        cwd=ROOT / "src",
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "7 kept, 0 broken" in run.stdout
