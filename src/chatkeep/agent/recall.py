"""What a turn's model is told of its thread: a summary of what is long ago, then the rest."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from time import monotonic

import structlog
from agents import TResponseInputItem
from chatkit.types import ThreadMetadata, UserMessageItem

from chatkeep.agent.answering import Answering
from chatkeep.agent.convert import ItemConverter
from chatkeep.agent.history import Exchange, Loaded, Wanted, load_exchanges
from chatkeep.agent.room import Room
from chatkeep.agent.shaping import shape
from chatkeep.agent.summary import KEY, SHARE, Summary, summarise, summary_of
from chatkeep.context import RequestContext
from chatkeep.errors import ChatkeepError, ModelRequestError, NotFoundError
from chatkeep.models.catalog import ModelEntry
from chatkeep.ports import Store

_KEPT_SHARE = 0.5  # of the room, that is not summarised: so it is done once in many turns
_READ_SHARE = 0.5  # of the context of the model that writes a summary, for what it is of
_PAUSE_SECONDS = 300.0  # after a failure: each try holds an answer up
_MAX_PAUSED = 10_000

_TOO_LONG = (
    "This message is too long for the model, with its files. Shorten it, or choose another model."
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is told.

    Attributes:
        input: The model input.
        summary: One that was made for it, which is to be kept with the thread.
    """

    input: list[TResponseInputItem]
    summary: Summary | None = None


class Recall:
    """Recalls threads.

    Args:
        store: Where they are.
        converter: Items to input.
        image_messages: Of how many messages of the user, the newest ones, images go along.
        summaries: Whether what does not fit any more is summarised.
        summary_model: What writes summaries. None, or for tenants that may not choose it: the
            model that answers, if it is one that names threads as well.
    """

    def __init__(
        self,
        store: Store,
        converter: ItemConverter,
        *,
        image_messages: int = 0,
        summaries: bool = False,
        summary_model: ModelEntry | None = None,
    ) -> None:
        self._store = store
        self._converter = converter
        self._image_messages = image_messages
        self._summaries = summaries
        self._summary_model = summary_model
        self._paused: dict[str, float] = {}

    async def recall(
        self,
        thread: ThreadMetadata,
        newest: UserMessageItem | None,
        answering: Answering,
        named: ModelEntry | None,
        context: RequestContext,
        *,
        gone: Collection[str] = (),
    ) -> Recalled:
        """Return what the model is told.

        Args:
            thread: The thread.
            newest: The message to answer; None: the thread's end is answered.
            answering: Who answers.
            named: The model that names threads, if there is one.
            context: Who is asking.
            gone: Items that the answer will take the place of.

        Raises:
            ModelRequestError: The message alone is too long for the model.
        """
        wanted = Wanted(
            thread,
            newest,
            answering.room.history,
            self._image_messages,
            answering.tools,
        )
        writer = self._writer(named, context.principal.tenant)
        if writer is None:
            loaded = await load_exchanges(self._store, self._converter, wanted, context)
            _check_length(loaded, answering.room)
            return Recalled(_input(None, loaded.exchanges))
        before = summary_of(thread)
        before = None if before and before.until in gone else before
        loaded, before = await self._load(wanted, before, writer, context)
        _check_length(loaded, answering.room)
        return await self._with_summary(wanted, loaded, before, writer)

    async def keep(self, thread: ThreadMetadata, summary: Summary, context: RequestContext) -> None:
        """Keep a summary with its thread. It is made again when that fails."""

        def change(stored: ThreadMetadata) -> None:
            stored.metadata[KEY] = summary.model_dump(mode="json")

        try:
            await self._store.change_thread(thread.id, change, context)
        except ChatkeepError as error:
            _log.info("summary not kept", thread=thread.id, error=type(error).__name__)

    def _writer(self, named: ModelEntry | None, tenant: str) -> ModelEntry | None:
        if not self._summaries:
            return None
        if self._summary_model is not None and self._summary_model.allowed(tenant):
            return self._summary_model
        return named if named and named.titles else None

    async def _load(
        self, wanted: Wanted, before: Summary | None, writer: ModelEntry, context: RequestContext
    ) -> tuple[Loaded, Summary | None]:
        """Return the exchanges behind the summary, and the summary if it is still true.

        More of them than the model has room for: what is beyond is to be summarised.
        """
        reading = int(writer.context_tokens * _READ_SHARE)
        wide = replace(
            wanted,
            budget_tokens=wanted.budget_tokens + reading,
            file_tokens=wanted.budget_tokens,
            until=before.until if before else None,
        )
        loaded = await load_exchanges(self._store, self._converter, wide, context)
        if before is None or (loaded.reached == before.until_at):
            return loaded, before
        if loaded.reached is not None:  # the message was edited since
            wide = replace(wide, until=None)
            return await load_exchanges(self._store, self._converter, wide, context), None
        if loaded.complete or not await self._is_true(wanted.thread, before, context):
            return loaded, None
        return loaded, before

    async def _is_true(
        self, thread: ThreadMetadata, summary: Summary, context: RequestContext
    ) -> bool:
        try:
            item = await self._store.load_item(thread.id, summary.until, context)
        except NotFoundError:
            return False
        return item.created_at == summary.until_at

    async def _with_summary(
        self, wanted: Wanted, loaded: Loaded, before: Summary | None, writer: ModelEntry
    ) -> Recalled:
        room, thread = wanted.budget_tokens, wanted.thread
        exchanges = loaded.exchanges
        used = sum(each.tokens for each in exchanges) + (before.tokens if before else 0)
        if loaded.complete and (used <= room or len(exchanges) <= 1):
            return Recalled(_input(before, exchanges))
        kept = _newest(exchanges, int(room * _KEPT_SHARE))
        older = exchanges[: len(exchanges) - len(kept)]
        if older and self._may_try(thread.id):
            summary = await summarise(writer, before, older, int(room * SHARE))
            if summary is not None:
                self._paused.pop(thread.id, None)
                return Recalled(_input(summary, kept), summary)
            self._pause(thread.id)
        fitting = _newest(exchanges, room - (before.tokens if before else 0))
        return Recalled(_input(before, fitting))

    def _may_try(self, thread_id: str) -> bool:
        return self._paused.get(thread_id, 0.0) <= monotonic()

    def _pause(self, thread_id: str) -> None:
        self._paused.pop(thread_id, None)
        while len(self._paused) >= _MAX_PAUSED:
            del self._paused[next(iter(self._paused))]
        self._paused[thread_id] = monotonic() + _PAUSE_SECONDS


def _check_length(loaded: Loaded, room: Room) -> None:
    if loaded.exchanges and room.is_beyond(loaded.exchanges[-1].tokens):
        raise ModelRequestError(_TOO_LONG)


def _newest(exchanges: Sequence[Exchange], tokens: int) -> Sequence[Exchange]:
    """Return the newest exchanges that fit; the newest one in any case."""
    kept = 0
    for exchange in reversed(exchanges):
        tokens -= exchange.tokens
        if kept and tokens < 0:
            break
        kept += 1
    return exchanges[len(exchanges) - kept :]


def _input(summary: Summary | None, exchanges: Sequence[Exchange]) -> list[TResponseInputItem]:
    parts = [part for exchange in exchanges for part in exchange.input]
    return shape([*(summary.input() if summary else ()), *parts])
