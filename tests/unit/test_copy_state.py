"""What a copy keeps of its state, shows of its places and compares its records by."""

import json
from pathlib import Path

import pytest

from chatkeep.errors import CopyError, SettingsError
from chatkeep.upkeep.copy_state import CopyState, place_of
from chatkeep.upkeep.copying import Tally


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://ann:secret@db:5432/chat?sslmode=require", "postgresql://db:5432/chat"),
        ("postgresql://ann:se/c@r?et@db/chat", "postgresql://db/chat"),
        ("postgres://a,b/chat?password=secret", "postgres://a,b/chat"),
        ("mongodb+srv://ann:secret@db/chat", "mongodb+srv://db/chat"),
        ("sqlite:////srv/a@b.db", "sqlite:////srv/a@b.db"),
        ("file:///srv/a@b", "file:///srv/a@b"),
        ("s3://key:secret@bucket/x", "s3://bucket/x"),
    ],
)
def test_a_place_has_no_secret(url: str, place: str) -> None:
    """Whatever a password looks like, it is not shown."""
    assert place_of(url) == place


def test_the_state_is_read_back(tmp_path: Path) -> None:
    """Of the last record it has the key only; of another pair of places it knows nothing."""
    places = ("sqlite:///a", "sqlite:///b")
    state = CopyState.begin(tmp_path / "new", places)
    assert CopyState.find(tmp_path / "new", places) is None
    record = {"tenant": "t", "owner": "o", "id": "i", "seq": 1, "title": "hush", "body": "hush"}
    state.advance("threads", record, 3)
    state.advance("threads", record | {"id": "j"}, 2)
    state.finish("owners")

    again = CopyState.find(tmp_path / "new", places)

    assert again is not None
    assert again.table("threads").after == {"tenant": "t", "owner": "o", "id": "j"}
    assert (again.table("threads").count, again.table("threads").done) == (5, False)
    assert again.table("owners").done
    assert "hush" not in state.path.read_text()
    assert CopyState.find(tmp_path / "new", (places[1], places[0])) is None
    again.remove()
    again.remove()
    assert CopyState.find(tmp_path / "new", places) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", json.dumps({"format": 2, "tables": {}})])
def test_a_state_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    """Is not guessed at; the line says what to do."""
    state = CopyState.begin(tmp_path, ("a", "b"))
    state.path.write_text(text)
    with pytest.raises(CopyError, match="remove it to begin anew"):
        CopyState.find(tmp_path, ("a", "b"))


def test_a_state_that_cannot_be_written(tmp_path: Path) -> None:
    """Stops the copy before anything is copied that it could not go on with."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        CopyState.begin(tmp_path / "file", ("a", "b")).save()


def test_a_tally_does_not_know_an_order() -> None:
    """Databases sort differently; one that is there twice, or differs, is noticed."""
    one = Tally().add("a").add("b").add("c", "d")
    assert one == Tally().add("c", "d").add("a").add("b")
    assert one.count == 3
    assert one != Tally().add("a").add("b").add("c,d")
    assert one != Tally().add("a").add("b").add("cd")
    assert Tally().add("a").add("a") != Tally().add("b").add("b")
