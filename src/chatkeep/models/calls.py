"""What a model tells of a call, beside its answer, to the run that it is called in.

The Agents SDK's `Model` has no way to say that a fallback answered, that the answer was cut off at
a limit, or what it cost. So the run leaves an observer in a context variable, which the tasks that
the runner starts inherit.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, Protocol

type Finish = Literal["length", "content_filter"]
"""Why an answer ended before the model was done: the provider's limit, or its filter."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one call.

    Attributes:
        input: All of the input, cached ones among them.
        cached: Those of the input that the provider had in its cache.
        output: All of the output, reasoning among them.
        reasoning: Those of the output that the user does not see.
        estimated: Whether the provider did not say, so that these are from the size of the text.
    """

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    estimated: bool = False


class CallObserver(Protocol):
    """Told of the calls of one run. Nothing here waits or raises, but `notify`."""

    def used(self, model_id: str, tokens: Tokens) -> None:
        """Note what a call took: once for each that a provider answered, however that ended."""
        ...

    def replayed(self, model_id: str) -> None:
        """Note that an answer came from the response cache: nobody was asked."""
        ...

    def ended_early(self, why: Finish) -> None:
        """Note that the answer ended before the model was done."""
        ...

    def fell_back(self, model_id: str, to: str, why: str) -> None:
        """Note that another model was asked instead of one, and why, in a word."""
        ...

    async def notify(self, level: Literal["info", "warning", "danger"], message: str) -> None:
        """Show the user a notice, which is not kept (Markdown)."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom a model is called.

    Attributes:
        tenant: The organisation whose conversation it is.
        fresh: Whether the user asks for another answer than the one before.
    """

    tenant: str
    fresh: bool = False


caller: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""Of the run that a model is called in; None for calls beside it, as for titles."""

observer: ContextVar[CallObserver | None] = ContextVar("observer", default=None)
"""Of the run that a model is called in; None for calls that nobody asked to hear of."""
