"""One thread as a list of conversations shows it."""

from chatkeep.context import RequestContext
from chatkeep.errors import NotFoundError
from chatkeep.ports import Store, ThreadSummary


async def load_summary(store: Store, thread_id: str, context: RequestContext) -> ThreadSummary:
    """Return the summary of a thread of the user.

    Raises:
        NotFoundError: There is no such thread.
    """
    for archived in (False, True, False):  # it may be put away meanwhile, or taken back
        # The store lists summaries. A thread stands before the one that follows it.
        following = await store.load_summaries(1, thread_id, "asc", context, archived=archived)
        after = following.data[0].thread.id if following.data else None
        page = await store.load_summaries(1, after, "desc", context, archived=archived)
        if page.data and page.data[0].thread.id == thread_id:
            return page.data[0]
    raise NotFoundError
