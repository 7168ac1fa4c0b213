"""What becomes of an answer that breaks in the middle: another model answers anew, or goes on."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Literal

from agents import TResponseInputItem
from agents.items import TResponseStreamEvent

from chatkeep.errors import ModelError
from chatkeep.models.calls import observer
from chatkeep.models.fallback import Candidate, Chain, Events, FallbackModel, opened
from chatkeep.models.retrying import begun
from chatkeep.models.tuned import Input
from chatkeep.models.unfinished import Unfinished, withdrawn

_RESTARTS = "**{before}** broke off in the middle of its answer. **{now}** answers anew."
_CONTINUES = "**{before}** broke off in the middle of its answer. **{now}** goes on."


class ReplacingModel(FallbackModel):
    """Also replaces a call that broke when its answer had begun.

    The answer so far is taken back and the next model answers anew (`restart`), or it stays and the
    next one goes on in a message of its own (`continue`); the user reads a notice. Until that model
    has begun the answer stays as it is: if none does, it is an interrupted one.

    Args:
        candidates: The chosen model, then those that stand in for it.
        on_break: Which of the two.
    """

    def __init__(
        self, candidates: Sequence[Candidate], on_break: Literal["restart", "continue"]
    ) -> None:
        super().__init__(candidates)
        self._goes_on = on_break == "continue"

    async def stream_response(
        self, system_instructions: str | None, input: Input, *args: Any, **kwargs: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Stream an answer."""
        chain = Chain(self._candidates, input)
        broken: Unfinished | None = None
        kept: list[Unfinished] = []
        while True:
            asked = _with_kept(input, kept)
            async with aclosing(
                opened(chain.current, system_instructions, asked, *args, **kwargs)
            ) as events:
                try:
                    held = await begun(events)
                except ModelError as error:
                    chain.next(error)
                    continue
                async for event in _replaced(broken, kept, chain):
                    yield event
                broken = Unfinished()
                try:
                    for event in held:
                        yield _seen(event, broken, kept)
                    async for event in events:
                        yield _seen(event, broken, kept)
                except ModelError as error:
                    if broken.has_effects:
                        raise
                    chain.next(error, broken=True)
                else:
                    return
            if self._goes_on and broken.text.strip():
                kept.append(broken)


def _seen(
    event: TResponseStreamEvent, answer: Unfinished, kept: list[Unfinished]
) -> TResponseStreamEvent:
    """Note an event of an answer, whose end is also that of what it goes on from."""
    answer.see(event)
    for earlier in reversed(kept):
        earlier.put_before(event)
    return event


async def _replaced(broken: Unfinished | None, kept: list[Unfinished], chain: Chain) -> Events:
    """Yield what happens to a broken answer when another one begins, and tell the user."""
    if broken is None:
        return
    goes_on = broken in kept
    if (told := observer.get()) is not None:
        text = _CONTINUES if goes_on else _RESTARTS
        labels = {"before": chain.before.label, "now": chain.current.label}
        await told.notify("warning", text.format(**labels))
    if not goes_on:
        yield withdrawn()
        return
    for event in broken.close():
        yield event


def _with_kept(input: Input, kept: list[Unfinished]) -> Input:
    """Return what the next model is asked.

    It is never the list that came: an answer that may have to be taken back goes through the SDK
    (`chatkeep.models.direct`), where it can be followed.
    """
    if isinstance(input, str) and not kept:
        return input
    items: list[TResponseInputItem] = (
        [{"role": "user", "content": input}] if isinstance(input, str) else [*input]
    )
    return [*items, *(item for part in kept for item in part.asked_to_go_on())]
