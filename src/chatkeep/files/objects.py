"""Files in an object store: S3 and what speaks like it, Google Cloud Storage, Azure."""

from collections.abc import AsyncGenerator, AsyncIterator

import obstore
from obstore.exceptions import BaseError
from obstore.exceptions import NotFoundError as NoSuchObjectError
from obstore.store import ObjectStore, from_url

from chatkeep.errors import NotFoundError, SettingsError, StorageUnavailableError
from chatkeep.ports import FileStorage, StoredFile

_PART = 5 * 1024 * 1024  # the least that S3 takes for a part of an upload
_PARTS_AT_ONCE = 2
_READ = 262_144
_PROBE = "chatkeep-ping"


class ObjectStorage(FileStorage):
    """`s3://bucket/prefix`, `gs://…`, `az://…`.

    An object appears when its last part has been acknowledged. Parts of an upload that broke off
    are invisible; a lifecycle rule of the bucket removes them.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, key: str, content: AsyncIterator[bytes]) -> None:
        """Store a file."""
        broken: BaseException | None = None

        async def watched() -> AsyncIterator[bytes]:
            nonlocal broken
            try:
                async for chunk in content:
                    yield chunk
            except BaseException as error:  # obstore would hide it: raised again below
                broken = error
                raise

        try:
            await obstore.put_async(
                self._store,
                key,
                watched(),
                use_multipart=True,
                chunk_size=_PART,
                max_concurrency=_PARTS_AT_ONCE,
            )
        except BaseError as error:
            raise broken or StorageUnavailableError from error

    async def read(self, key: str) -> AsyncGenerator[bytes]:
        """Yield a file's content."""
        try:
            found = await obstore.get_async(self._store, key)
            async for chunk in found.stream(_READ):
                view = memoryview(chunk)  # the least is asked for, and there may be much more
                for at in range(0, len(view), _READ):
                    yield bytes(view[at : at + _READ])
        except (NoSuchObjectError, FileNotFoundError):
            raise NotFoundError from None
        except BaseError as error:
            raise StorageUnavailableError from error

    async def delete(self, key: str) -> None:
        """Delete a file."""
        try:
            await obstore.delete_async(self._store, key)
        except (NoSuchObjectError, FileNotFoundError):
            return
        except BaseError as error:
            raise StorageUnavailableError from error

    async def list(self, prefix: str) -> AsyncGenerator[StoredFile]:
        """Yield the files below a prefix."""
        try:
            async for batch in obstore.list(self._store, prefix or None):
                for found in batch:
                    yield StoredFile(found["path"], found["size"], found["last_modified"])
        except BaseError as error:
            raise StorageUnavailableError from error

    async def ping(self) -> None:
        """Ask for an object that is not there; a bucket that cannot be reached says so."""
        try:
            await obstore.head_async(self._store, _PROBE)
        except (NoSuchObjectError, FileNotFoundError):
            return
        except BaseError as error:
            raise StorageUnavailableError from error


def open_objects(url: str) -> ObjectStorage:
    """Return the storage at a URL.

    Credentials and endpoints come from the environment, by the names that the vendors' own tools
    read: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT` and so on.

    Raises:
        SettingsError: The URL is not one of a bucket.
    """
    try:
        return ObjectStorage(from_url(url))
    except (BaseError, ValueError) as error:
        raise SettingsError("files.url: not a bucket that can be opened") from error
