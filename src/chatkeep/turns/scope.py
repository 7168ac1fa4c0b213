"""What code that runs inside a turn can find out about it, wherever it is called from.

A `ChatKitServer` of somebody else gets whatever context it expects and keeps its own references
to the store. So for whom a call is, and on behalf of which turn, comes from a context variable,
which the tasks that it starts inherit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatkeep.context import RequestContext

if TYPE_CHECKING:
    from chatkeep.turns.running import RunningTurn


@dataclass(frozen=True, slots=True)
class Scope:
    """For whom code runs, and the turn that it is part of, if any."""

    context: RequestContext
    turn: "RunningTurn | None" = None


_scope: ContextVar[Scope | None] = ContextVar("chatkeep_scope", default=None)


def current() -> Scope | None:
    """Return the scope of the running code; None outside of requests."""
    return _scope.get()


@contextmanager
def entered(scope: Scope) -> Iterator[None]:
    """Run code in a scope."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)
