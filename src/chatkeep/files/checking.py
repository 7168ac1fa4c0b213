"""Content on its way in: measured, hashed, and compared with what was declared."""

import hashlib
from collections.abc import AsyncIterator

from chatkeep.errors import FileTypeError, InvalidRequestError, TooLargeError
from chatkeep.files.sniffing import HEAD_BYTES, matches


class Checked:
    """Content that passes through and is measured, hashed and compared with its declaration."""

    def __init__(self, content: AsyncIterator[bytes], size: int, mime_type: str) -> None:
        self._content = content
        self._size = size
        self._mime_type = mime_type
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The hash of all that has passed."""
        return self._hash.hexdigest()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content; raise before the first chunk when its type is wrong."""
        head: bytearray | None = bytearray()
        received = 0
        async for chunk in self._content:
            received += len(chunk)
            if received > self._size:
                raise TooLargeError("There is more of this file than was declared.")
            self._hash.update(chunk)
            if head is None:
                yield chunk
                continue
            head += chunk
            if len(head) >= HEAD_BYTES:
                self._check_type(head)
                yield bytes(head)
                head = None
        if received < self._size:
            raise InvalidRequestError("There is less of this file than was declared.")
        if head is not None:
            self._check_type(head)
            yield bytes(head)

    def _check_type(self, head: bytearray) -> None:
        if not matches(self._mime_type, bytes(head[:HEAD_BYTES])):
            raise FileTypeError("This file is not of the type that it was declared to be.")
