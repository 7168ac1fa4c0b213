"""Conversations from a document of `chatkeep.transfer.export`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from chatkeep.context import RequestContext
from chatkeep.files.attachments import Attachments
from chatkeep.ports import Store


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        imported: How many threads are new.
        skipped: The ids of those that were there already; nothing of them was changed.
    """

    imported: int
    skipped: Sequence[str]


async def import_threads(
    store: Store, attachments: Attachments, document: BinaryIO, context: RequestContext
) -> ImportReport:
    """Restore the threads of a JSON document for a user, in its order.

    The document is read twice, in pieces: nothing is stored of one that is not valid. A thread
    comes whole or, if the store fails, not at all; those before it stay.

    Args:
        store: Where the threads go.
        attachments: Where the files go; its limits hold.
        document: An open file, at its beginning, that can be rewound.
        context: Whose threads they become.

    Raises:
        InvalidRequestError: The document is not valid; the message names the place in it.
        TooLargeError: A file, or all of them together, would be too large.
        FileTypeError: A file is of a type that is not taken.
        ChatkeepError: Store or storage failed.
    """
    raise NotImplementedError
