"""An answer by chat completions: from the events of a response to deltas and an ending."""

import json
from collections import deque
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from chatkeep.models.frame import Frame
from chatkeep.models.metering import Meter
from chatkeep.models.normalising import Delta, Ending, Normaliser
from chatkeep.models.sse import Event


class Source(Protocol):
    """Where events come from."""

    async def read(self) -> list[Event]:
        """Return what has come since; nothing at the end."""
        ...

    def in_time(self) -> AbstractAsyncContextManager[None]:
        """Return a context in which one timer watches over all that is read."""
        ...

    async def aclose(self) -> None:
        """Let the connection go."""
        ...


class Answer:
    """Reads one answer. The deltas of what one read of the socket brought are joined.

    Attributes:
        thoughts_in: The provider's field for thoughts, once some have come.
    """

    def __init__(self, source: Source, normaliser: Normaliser, meter: Meter) -> None:
        self._source = source
        self._normaliser = normaliser
        self._meter = meter
        self._frame = Frame()
        self._ready: deque[Delta | Ending] = deque()
        self._failure: Exception | None = None

    @property
    def thoughts_in(self) -> str | None:
        """The provider's field for thoughts; None as long as none have come."""
        return self._normaliser.thoughts_in

    async def read(self) -> Delta | Ending:
        """Return what comes next; the ending is the last.

        Raises:
            ModelError: The answer is none, or not a whole one.
            ValueError: The provider sent what is no JSON.
        """
        while not self._ready:
            if self._failure is not None:
                raise self._failure
            events = await self._source.read()
            try:
                self._take(events)
            except Exception as failure:  # noqa: BLE001 - raised above, behind what came before it
                self._failure = failure
        return self._ready.popleft()

    def in_time(self) -> AbstractAsyncContextManager[None]:
        """Return a context in which one timer watches over all that is read."""
        return self._source.in_time()

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._source.aclose()

    def _take(self, events: list[Event]) -> None:
        """Put what the events say among what is ready."""
        meter, normaliser = self._meter, self._normaliser
        try:
            for event in events:
                delta = self._read_event(event)
                if delta is not None:
                    self._add(delta)
            if not events:
                ending = normaliser.end()
                self._ready.append(ending)
                if ending.finish in ("length", "content_filter"):
                    meter.ended_early(ending.finish)
        finally:
            meter.started = normaliser.started
            meter.tokens = normaliser.tokens
            meter.characters = normaliser.characters

    def _read_event(self, event: Event) -> Delta | None:
        data = event.data
        if not event.name and (text := self._frame.text_of(data)) is not None:
            return self._normaliser.feed_text(text)
        if not data.strip():
            return None
        payload = json.loads(data)
        delta = self._normaliser.feed(payload, event.name)
        if not event.name:
            self._frame.learn(data, payload)
        return delta

    def _add(self, delta: Delta) -> None:
        last = self._ready[-1] if self._ready else None
        if (
            isinstance(last, Delta)
            and not delta.thought
            and not (delta.refusal or last.refusal)
            and (last.text or not last.thought)
        ):
            last.text += delta.text
        elif isinstance(last, Delta) and not (
            delta.text or delta.refusal or last.text or last.refusal
        ):
            last.thought += delta.thought
        else:
            self._ready.append(delta)
