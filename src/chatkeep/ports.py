"""Every extension point, on one page.

A port says what a backend must do and what happens when the other side is gone. Backends live in
packages named after the port (`stores`, `models`, `auth`), one file each, and get what they need
in the constructor: none of them reads settings.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agents import ModelProvider
from chatkit.store import Store as ChatKitStore
from chatkit.store import StoreItemType
from chatkit.types import FeedbackKind, Page, ThreadItem, ThreadMetadata, UserMessageItem

from chatkeep.context import Principal, RequestContext
from chatkeep.ids import new_item_id

__all__ = [
    "Authenticator",
    "Credentials",
    "FileStorage",
    "Identity",
    "ModelProvider",
    "Store",
    "StoredFile",
]


class Store(ChatKitStore[RequestContext], ABC):
    """Threads, items, attachment records and feedback of every tenant.

    The contract, which `chatkeep.testing.StoreContract` checks on every backend:

    * **Tenancy.** Every method sees only rows of `context.principal` (tenant and user). A foreign
      id behaves exactly like an unknown one.
    * **Missing rows.** `load_*` raise `NotFoundError`; so do writes to a thread that does not
      exist (`add_thread_item`, `save_item`, `load_thread_items`, `add_feedback`, `title_thread`).
      `delete_*` are idempotent: deleting nothing is a success.
    * **Order.** Items carry a per-thread sequence given at their first write and kept for ever:
      `add_thread_item` and `save_item` are upserts that leave an existing item at its place.
      Clocks are never used for order. Threads are listed by creation.
    * **Pages.** `after` is the cursor of an earlier page, or the id of an item (thread) to
      continue behind; an unknown one raises `NotFoundError`. Pages have no repeats and no gaps,
      ascending is the reverse of descending, also while others append and delete: a page's cursor
      stays good when the row it came from is deleted. `Page.after` is set exactly when `has_more`
      is. `limit` must be at least 1 (`ValueError`).
    * **Copies.** What is returned is the caller's to change; what is passed in is not kept.
    * **Time.** Datetimes come back aware and in UTC. Naive ones, as the SDK makes them, are read
      as local time.
    * **Failure.** A database that is gone, locked beyond its timeout or full raises
      `StoreUnavailableError`; nothing of the failed call is stored, unless the error says that it
      may have been: a connection can break while a commit is answered. Cancellation passes.
    """

    def generate_thread_id(self, context: RequestContext) -> str:
        """Return an id with 128 random bits (the SDK's default has 32)."""
        del context
        return new_item_id("thread")

    def generate_item_id(
        self, item_type: StoreItemType, thread: ThreadMetadata, context: RequestContext
    ) -> str:
        """Return an id with 128 random bits (the SDK's default has 32)."""
        del thread, context
        return new_item_id(item_type)

    @abstractmethod
    async def open(self) -> None:
        """Connect, and check that the schema is the one this version needs."""

    @abstractmethod
    async def aclose(self) -> None:
        """Release every connection. Idempotent."""

    @abstractmethod
    async def ping(self) -> None:
        """Answer quickly, or raise `StoreUnavailableError`."""

    @abstractmethod
    async def load_thread_items(
        self,
        thread_id: str,
        after: str | None,
        limit: int,
        order: str,
        context: RequestContext,
        *,
        include_hidden: bool = True,
    ) -> Page[ThreadItem]:
        """Load a page of items; without hidden ones the filter is part of the query."""

    @abstractmethod
    async def create_thread(
        self, thread: ThreadMetadata, message: UserMessageItem, context: RequestContext
    ) -> None:
        """Store a new thread and its first message: both, or neither.

        Attachments of the message must exist and are bound to the thread.
        """

    @abstractmethod
    async def delete_thread_items(
        self, thread_id: str, item_ids: Sequence[str], context: RequestContext
    ) -> None:
        """Delete several items of a thread in one transaction."""

    @abstractmethod
    async def title_thread(self, thread_id: str, title: str, context: RequestContext) -> bool:
        """Set the title if the thread has none yet; say whether that happened."""

    @abstractmethod
    async def add_feedback(
        self,
        thread_id: str,
        item_ids: Sequence[str],
        kind: FeedbackKind,
        context: RequestContext,
    ) -> None:
        """Keep the user's latest judgement of each item. An unknown item: `NotFoundError`."""

    @abstractmethod
    async def load_feedback(
        self, thread_id: str, context: RequestContext
    ) -> dict[str, FeedbackKind]:
        """Return the user's judgements in a thread, by item id."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What a file storage knows of a file; `modified` is aware."""

    key: str
    size: int
    modified: datetime


class FileStorage(ABC):
    """The bytes of attachments, by key.

    The contract, which `chatkeep.testing.FileStorageContract` checks on every backend:

    * **Keys** are segments of `[a-z0-9_-]`, at most 200 characters each, joined by `/`. They are
      made by Chatkeep; nothing that a user wrote is part of one. A key is written once.
    * **Atomic.** A file can be read and is listed when `put` has returned, and not before. When
      the content raises, or the caller is cancelled, nothing of it is kept, and the content's
      own error passes unchanged.
    * **Bounded.** Files are streamed both ways; memory does not grow with their size.
    * **Missing files.** `read` raises `NotFoundError`, before its first chunk; `delete` of
      nothing is a success.
    * **Failure.** A disk that is full, a directory that cannot be written or a service that
      does not answer raises `StorageUnavailableError`. Cancellation passes.
    """

    @abstractmethod
    async def put(self, key: str, content: AsyncIterator[bytes]) -> None:
        """Store a file."""

    @abstractmethod
    def read(self, key: str) -> AsyncGenerator[bytes]:
        """Yield a file's content."""

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Delete a file."""

    @abstractmethod
    def list(self, prefix: str) -> AsyncGenerator[StoredFile]:
        """Yield the files below a prefix of whole segments (none: all), in any order."""

    @abstractmethod
    async def ping(self) -> None:
        """Answer quickly, or raise `StorageUnavailableError`."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client presented: header names in lower case, and cookies."""

    headers: Mapping[str, str]
    cookies: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified principal, and the `Set-Cookie` value that keeps it, when there is a new one."""

    principal: Principal
    set_cookie: str | None = None


class Authenticator(Protocol):
    """Turns credentials into an identity.

    Contract: pure and quick; never trusts a value that is not signed. Returns None when the
    credentials are not of its kind, so that the next authenticator is asked; raises
    `UnauthenticatedError` when they are of its kind but not valid.
    """

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        """Return who is asking."""
        ...
