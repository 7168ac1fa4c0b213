"""Where attachments are kept. The storage is chosen by a URL; its driver is imported then."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from chatkeep.errors import SettingsError
from chatkeep.ports import FileStorage

_OBJECTS = ("s3", "gs", "az")


def open_storage(url: str | None, *, data_dir: Path) -> FileStorage:
    """Return the storage at a URL; nothing is connected or written yet.

    Args:
        url: `file:///absolute/directory`, `s3://bucket/prefix`, `gs://…`, `az://…` or
            `memory://`. None: `files` in the data directory.
        data_dir: Where Chatkeep keeps its files.

    Raises:
        SettingsError: The URL names no storage. The message shows no more of it than the scheme.
    """
    from chatkeep.files.local import LocalStorage  # noqa: PLC0415 - only what is used is loaded

    if not url:
        return LocalStorage((data_dir / "files").absolute())
    scheme = url.partition("://")[0].lower()
    if scheme == "memory":
        from chatkeep.files.memory import MemoryStorage  # noqa: PLC0415

        return MemoryStorage()
    if scheme == "file":
        parts = urlsplit(url)
        if parts.netloc or not parts.path.strip("/"):
            raise SettingsError("files.url: write a directory as file:///absolute/directory")
        return LocalStorage(Path(unquote(parts.path)))
    if scheme in _OBJECTS:
        return _objects(url)
    raise SettingsError(
        f"files.url: no storage is known by the scheme {scheme[:20]!r}; "
        "use file:///directory, s3://bucket, gs://bucket, az://container or memory://"
    )


def _objects(url: str) -> FileStorage:
    try:
        from chatkeep.files.objects import open_objects  # noqa: PLC0415 - loads the driver
    except ModuleNotFoundError as error:
        raise SettingsError(
            "files.url: object stores need a package more; install chatkeep[objects]"
        ) from error
    return open_objects(url)
