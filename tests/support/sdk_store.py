"""A store as the SDK's documentation shows one: in memory, for trying out, for one user."""

# ruff: noqa: ARG002 - the parameters are the SDK's

from typing import Any

from chatkit.store import NotFoundError, Store
from chatkit.types import Attachment, Page, ThreadItem, ThreadMetadata


class MemoryStore(Store[dict[str, Any]]):
    """Keeps everything until the process ends."""

    def __init__(self) -> None:
        self.threads: dict[str, ThreadMetadata] = {}
        self.items: dict[str, list[ThreadItem]] = {}

    async def load_thread(self, thread_id: str, context: dict[str, Any]) -> ThreadMetadata:
        """Load a thread."""
        if thread_id not in self.threads:
            raise NotFoundError
        return self.threads[thread_id].model_copy(deep=True)

    async def save_thread(self, thread: ThreadMetadata, context: dict[str, Any]) -> None:
        """Store a thread."""
        self.threads[thread.id] = thread.model_copy(deep=True)

    async def load_thread_items(
        self,
        thread_id: str,
        after: str | None,
        limit: int,
        order: str,
        context: dict[str, Any],
    ) -> Page[ThreadItem]:
        """Load items; tests have few."""
        items = [item.model_copy(deep=True) for item in self.items.get(thread_id, [])]
        return Page(data=(items if order == "asc" else items[::-1])[:limit], has_more=False)

    async def add_thread_item(
        self, thread_id: str, item: ThreadItem, context: dict[str, Any]
    ) -> None:
        """Store an item."""
        self.items.setdefault(thread_id, []).append(item.model_copy(deep=True))

    async def save_item(self, thread_id: str, item: ThreadItem, context: dict[str, Any]) -> None:
        """Store an item in its place."""
        items = self.items.setdefault(thread_id, [])
        self.items[thread_id] = [item if each.id == item.id else each for each in items]

    async def load_item(self, thread_id: str, item_id: str, context: dict[str, Any]) -> ThreadItem:
        """Load an item."""
        found = [item for item in self.items[thread_id] if item.id == item_id]
        return found[0].model_copy(deep=True)

    async def delete_thread_item(
        self, thread_id: str, item_id: str, context: dict[str, Any]
    ) -> None:
        """Delete an item."""
        items = self.items.setdefault(thread_id, [])
        self.items[thread_id] = [each for each in items if each.id != item_id]

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: dict[str, Any]
    ) -> Page[ThreadMetadata]:
        """Load threads."""
        raise NotImplementedError

    async def delete_thread(self, thread_id: str, context: dict[str, Any]) -> None:
        """Delete a thread."""
        raise NotImplementedError

    async def save_attachment(self, attachment: Attachment, context: dict[str, Any]) -> None:
        """Store an attachment."""
        raise NotImplementedError

    async def load_attachment(self, attachment_id: str, context: dict[str, Any]) -> Attachment:
        """Load an attachment."""
        raise NotImplementedError

    async def delete_attachment(self, attachment_id: str, context: dict[str, Any]) -> None:
        """Delete an attachment."""
        raise NotImplementedError
