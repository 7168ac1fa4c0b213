"""A circuit breaker: an endpoint that is gone is left alone, and costs nobody a wait.

Five failures in a row open it. Calls then fail at once. After ten seconds one call is let through;
what becomes of it closes the breaker, or keeps it open for as long again.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import structlog

from chatkeep.errors import ModelError, ModelUnavailableError
from chatkeep.models.failures import LeftAlone, Verdict, verdict_of

type State = Literal["closed", "open", "half-open"]

_log = structlog.get_logger(__name__)


class Breaker:
    """Watches the calls of one endpoint.

    Args:
        place: Which one, for the log; without a password.
        hint: What an operator should look at when it fails.
        failures: How many in a row open it.
        pause: Seconds for which it stays open.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        place: str,
        hint: str = "",
        *,
        failures: int = 5,
        pause: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = place
        self._hint = hint
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._first_opened = 0.0
        self._opened: float | None = None
        self._probing = False

    @property
    def state(self) -> State:
        """Whether calls are let through: all, none, or one."""
        if self._opened is None:
            return "closed"
        return "open" if self._clock() - self._opened < self._pause else "half-open"

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Let a call through and learn from it; one that is cancelled teaches nothing.

        Raises:
            ModelUnavailableError: It is not let through.
        """
        state = self.state
        if state == "open" or (state == "half-open" and self._probing):
            raise self._refusal()
        probe = self._probing = state == "half-open"
        try:
            yield
        except ModelError as error:
            self._learn(verdict_of(error), probe=probe)
            raise
        else:
            self._learn("works", probe=probe)
        finally:
            if probe:
                self._probing = False

    def _refusal(self) -> ModelUnavailableError:
        error = ModelUnavailableError()
        error.__cause__ = LeftAlone()
        error.hint = (
            f"{self._hint} It failed {self._limit} times in a row and is left alone for "
            f"{self._pause:g} seconds."
        )
        return error

    def _learn(self, verdict: Verdict, *, probe: bool) -> None:
        if verdict == "works":
            self._close()
        elif verdict == "fails" and self._opened is None:
            self._failures += 1
            if self._failures >= self._limit:
                self._opened = self._first_opened = self._clock()
                _log.warning(
                    "model endpoint left alone", endpoint=self._place, failures=self._failures
                )
        elif verdict == "fails" and probe:
            self._opened = self._clock()

    def _close(self) -> None:
        self._failures = 0
        if self._opened is not None:
            self._opened = None
            seconds = round(self._clock() - self._first_opened, 1)
            _log.warning("model endpoint answers again", endpoint=self._place, after=seconds)
