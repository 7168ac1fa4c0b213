"""`chatkeep export` and `chatkeep import`: out of one server, into another one."""

import asyncio
import json
from pathlib import Path

import pytest

from chatkeep.files import open_storage
from chatkeep.stores import default_url, open_store
from chatkeep.testing.store_samples import asking
from support.canary import files_with, plant
from support.command import command, said

WHOSE = ("--tenant", "acme", "--user", "ann")


@pytest.fixture
def thread_ids(tmp_path: Path) -> list[str]:
    """The conversations of a user, in a data directory `old`; there is an empty one, `new`."""

    async def fill() -> list[str]:
        for name in ("new", "old"):
            directory = tmp_path / name
            store = open_store(default_url(directory), data_dir=directory)
            await store.open()
            storage = open_storage(None, data_dir=directory)
            ids = await plant(store, storage, asking(), "word", 2) if name == "old" else []
            await store.aclose()
            (tmp_path / f"{name}.toml").write_text(
                f'data_dir = "{directory}"\n[files]\nallowed_types = ["*/*"]'
            )
        return ids

    return asyncio.run(fill())


def test_out_and_in(thread_ids: list[str], tmp_path: Path) -> None:
    """What was exported is the same in the other server, and a second import changes nothing."""
    export = ("export", *WHOSE, "--config")

    first = command(*export, "old.toml", "all.json")
    done = command("import", "all.json", *WHOSE, "--config", "new.toml")
    again = command("import", "all.json", *WHOSE, "--config", "new.toml")
    second = command(*export, "new.toml")

    assert (first.exit_code, first.output) == (0, "")
    assert (done.output, again.output) == (
        "imported 2, there already 0\n",
        "imported 0, there already 2\n",
    )
    document = json.loads((tmp_path / "all.json").read_text())
    assert [entry["thread"]["id"] for entry in document["threads"]] == thread_ids
    assert json.loads(second.stdout) == document
    assert len(files_with("word", tmp_path / "new" / "files")) == 2
    assert "exists" in command(*export, "old.toml", "all.json").stderr


def test_one_conversation(thread_ids: list[str], tmp_path: Path) -> None:
    """As Markdown or JSON; Markdown of all is refused, and so is one that is not there."""
    export = ("export", *WHOSE, "--config", "old.toml")

    one = command(*export, "--thread", thread_ids[1])
    text = command(*export, "--thread", thread_ids[1], "--format", "markdown", "one.md")

    assert [e["thread"]["id"] for e in json.loads(one.stdout)["threads"]] == thread_ids[1:]
    assert text.exit_code == 0, text.output
    assert "It is word." in (tmp_path / "one.md").read_text()
    assert "--thread" in command(*export, "--format", "markdown").stderr
    assert "nothing with this id" in said(command(*export, "--thread", "thr_0", "none.md"))
    assert not list(tmp_path.glob("*none*"))


@pytest.mark.usefixtures("thread_ids")
def test_what_is_wrong(tmp_path: Path) -> None:
    """A document that is none stores nothing; a user without anything is told."""
    (tmp_path / "bad.json").write_text('{"chatkeep_export": 1, "threads": [{"thread": 7}]}')

    assert "thread" in said(command("import", "bad.json", *WHOSE, "--config", "new.toml"))
    assert command("import", "no.json", *WHOSE, "--config", "new.toml").exit_code == 2
    empty = command("export", *WHOSE, "--config", "new.toml")
    assert json.loads(empty.stdout)["threads"] == []
    assert empty.stderr == "This user has no conversations.\n"
