"""Changes of a thread that leave alone what others change of it."""

from chatkit.types import ThreadMetadata

from chatkeep.context import RequestContext
from chatkeep.ports import Store


async def rename(
    store: Store, thread_id: str, title: str, context: RequestContext
) -> ThreadMetadata:
    """Give a thread a title, and return it."""

    def change(thread: ThreadMetadata) -> None:
        thread.title = title

    return await store.change_thread(thread_id, change, context)
