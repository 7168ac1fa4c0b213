"""When an endpoint is left alone, and when it is asked again."""

import asyncio

import pytest

from chatkeep.errors import (
    ModelCredentialsError,
    ModelError,
    ModelInterruptedError,
    ModelRateLimitError,
    ModelRequestError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from chatkeep.models.breaker import Breaker


class Clock:
    """Time that passes when told to."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The time."""
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    """A breaker on that time."""
    return Breaker("host:1", "Look there.", clock=clock)


def fail(breaker: Breaker, error: ModelError, times: int = 1) -> None:
    """Make calls that fail."""
    for _ in range(times):
        with pytest.raises(type(error)), breaker.watch():
            raise error


@pytest.mark.parametrize("kind", [ModelUnavailableError, ModelTimeoutError, ModelInterruptedError])
def test_five_failures_open_it(breaker: Breaker, kind: type[ModelError]) -> None:
    """The sixth call is refused without being made; the operator is told where to look."""
    fail(breaker, kind(), 4)
    assert breaker.state == "closed"
    fail(breaker, kind())
    assert breaker.state == "open"
    with pytest.raises(ModelUnavailableError) as refused, breaker.watch():
        raise AssertionError("a call")
    assert refused.value.hint == (
        "Look there. It failed 5 times in a row and is left alone for 10 seconds."
    )


@pytest.mark.parametrize("kind", [ModelRateLimitError, ModelRequestError, ModelCredentialsError])
def test_a_refusal_opens_nothing(breaker: Breaker, kind: type[ModelError]) -> None:
    """It comes from somebody who works."""
    fail(breaker, kind(), 20)
    assert breaker.state == "closed"


@pytest.mark.parametrize("between", [None, ModelRequestError()])
def test_only_failures_in_a_row_count(breaker: Breaker, between: ModelError | None) -> None:
    """An answer, or a refusal, begins the count anew; too many requests say nothing."""
    fail(breaker, ModelUnavailableError(), 4)
    fail(breaker, ModelRateLimitError())
    if between:
        fail(breaker, between)
    else:
        with breaker.watch():
            pass
    fail(breaker, ModelUnavailableError(), 4)
    assert breaker.state == "closed"


def test_an_answer_after_the_pause_closes_it(breaker: Breaker, clock: Clock) -> None:
    """One call is let through then, and no other one beside it."""
    fail(breaker, ModelUnavailableError(), 5)
    clock.now += 9.9
    assert breaker.state == "open"
    clock.now += 0.1
    assert breaker.state == "half-open"
    with breaker.watch(), pytest.raises(ModelUnavailableError), breaker.watch():
        raise AssertionError("a second call")
    assert breaker.state == "closed"


def test_a_failure_after_the_pause_begins_another(breaker: Breaker, clock: Clock) -> None:
    """It stays open for as long again, and the next call may close it."""
    fail(breaker, ModelUnavailableError(), 5)
    clock.now += 10
    fail(breaker, ModelTimeoutError())
    assert breaker.state == "open"
    clock.now += 10
    with breaker.watch():
        pass
    assert breaker.state == "closed"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ModelRateLimitError()])
def test_a_call_that_teaches_nothing_lets_the_next_one_try(
    breaker: Breaker, clock: Clock, error: BaseException
) -> None:
    """A probe that the user stopped must not keep the endpoint closed for ever."""
    fail(breaker, ModelUnavailableError(), 5)
    clock.now += 10
    with pytest.raises(type(error)), breaker.watch():
        raise error
    assert breaker.state == "half-open"
    with breaker.watch():
        pass
    assert breaker.state == "closed"


def test_a_late_failure_does_not_prolong_the_pause(breaker: Breaker, clock: Clock) -> None:
    """Calls that began before it opened say what is known already."""

    def late() -> None:
        with breaker.watch():
            fail(breaker, ModelUnavailableError(), 5)
            clock.now += 6
            raise ModelUnavailableError

    with pytest.raises(ModelUnavailableError):
        late()
    clock.now += 4
    assert breaker.state == "half-open"
