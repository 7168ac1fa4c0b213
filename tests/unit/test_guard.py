"""Deadlines on streams, and the repair of surrogate pairs."""

import asyncio
import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkeep.models.guard import Deadlines, Pace, SurrogateJoiner


async def wait(pace: Pace, *gaps: float) -> int:
    """Wait for an event after each gap, and return how many came in time."""
    came = 0
    with suppress(TimeoutError):
        for gap in gaps:
            async with pace.limit():
                await asyncio.sleep(gap)
            came += 1
            pace.beat()
    return came


@pytest.mark.parametrize(
    ("gaps", "deadlines", "passed", "seconds"),
    [
        ((0, 1, 2), Deadlines(20, 20, 99), 3, 3),
        ((60,), Deadlines(first_token=5, between=99, total=99), 0, 5),
        ((1, 60), Deadlines(first_token=99, between=5, total=99), 1, 6),
        ((1, 1, 60), Deadlines(first_token=99, between=5, total=99), 2, 7),
        ((60,), Deadlines(first_token=99, between=99, total=5), 0, 5),
        ((4, 4, 4, 4), Deadlines(first_token=99, between=99, total=10), 2, 10),
    ],
)
async def test_each_limit_ends_the_wait(
    gaps: tuple[float, ...],
    deadlines: Deadlines,
    passed: int,
    seconds: float,
    instant_time: asyncio.AbstractEventLoop,
) -> None:
    """First token, between tokens, total: whichever comes first."""
    started = instant_time.time()
    assert await wait(Pace(deadlines), *gaps) == passed
    assert instant_time.time() - started == pytest.approx(seconds)


async def test_a_whole_answer_has_only_the_total(
    instant_time: asyncio.AbstractEventLoop,
) -> None:
    """What is not streamed comes at once or not at all."""
    started = instant_time.time()
    assert await wait(Pace(Deadlines(1, 1, 50), whole=True), 10, 20, 30) == 2
    assert instant_time.time() - started == pytest.approx(50)


@pytest.mark.parametrize(
    ("begun", "gaps", "passed", "seconds"),
    [
        (99, (1, 40, 40), 2, 60),  # it says that it begins, and thinks
        (99, (1, 55, 8), 3, 64),  # what it says later gives it the usual time
        (1, (1, 40), 1, 11),
        (2, (1, 40, 1, 40), 3, 52),
    ],
)
async def test_a_provider_may_think_when_it_has_said_that_it_begins(
    begun: int,
    gaps: tuple[float, ...],
    passed: int,
    seconds: float,
    instant_time: asyncio.AbstractEventLoop,
) -> None:
    """Events without content are no first token, and do not end the time for it."""
    came = 0

    def has_begun() -> bool:
        nonlocal came
        came += 1
        return came >= begun

    started = instant_time.time()
    pace = Pace(Deadlines(first_token=60, between=10, total=99), begun=has_begun)
    assert await wait(pace, *gaps) == passed
    assert instant_time.time() - started == pytest.approx(seconds)


@pytest.mark.usefixtures("instant_time")
async def test_the_wait_of_a_slow_reader_is_not_the_providers() -> None:
    """The limit between tokens starts when the reader has dealt with the last one."""
    pace = Pace(Deadlines(1, 5, 60))
    await asyncio.sleep(8)
    pace.beat()
    assert await wait(pace, 4, 4) == 2


def units(text: str) -> list[str]:
    """The UTF-16 code units of a text, as characters."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [chr(int.from_bytes(data[i : i + 2], "little")) for i in range(0, len(data), 2)]


@given(st.text(), st.lists(st.integers(0, 40), max_size=8))
def test_a_text_cut_anywhere_is_joined(text: str, cuts: list[int]) -> None:
    """However a provider cuts the code units of a text into deltas, the joined text is the same."""
    whole = units(text)
    bounds = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    joiner = SurrogateJoiner()
    pieces = [joiner.feed("".join(whole[start:end])) for start, end in itertools.pairwise(bounds)]
    pieces.append(joiner.end())
    for piece in pieces:
        piece.encode()
    assert "".join(pieces) == text


ANY = st.text(alphabet=st.characters(codec=None, categories=None))


@given(st.lists(ANY, max_size=6))
def test_whatever_comes_can_be_encoded(pieces: list[str]) -> None:
    """Lone halves become U+FFFD, one each; everything else stays, in order."""
    joiner = SurrogateJoiner()
    fed = [*[joiner.feed(piece) for piece in pieces], joiner.end()]
    for piece in fed:
        piece.encode()
    data = "".join(pieces).encode("utf-16", "surrogatepass")
    assert "".join(fed) == data.decode("utf-16", "replace")


def test_half_a_pair_is_held_back() -> None:
    """Nothing is shown of an emoji until it is whole; the text before it does not wait."""
    joiner = SurrogateJoiner()
    assert joiner.feed("a\ud83d") == "a"
    assert joiner.feed("") == ""
    assert joiner.feed("\ude00b") == "\U0001f600b"


@pytest.mark.parametrize(
    ("pieces", "joined"),
    [
        (["\ud83d", "x"], ["", "\ufffdx"]),
        (["\ud83d", "\ud83d", "\ude00"], ["", "\ufffd", "\U0001f600"]),
        (["\ude00"], ["\ufffd"]),
        (["a\ud83db"], ["a\ufffdb"]),
        (["\ud83d\ude00"], ["\U0001f600"]),
        (["\ufeff\ud83d", "\ude00"], ["\ufeff", "\U0001f600"]),
    ],
)
def test_halves(pieces: list[str], joined: list[str]) -> None:
    """Pairs are joined, also within one delta; lone halves are replaced."""
    joiner = SurrogateJoiner()
    assert [joiner.feed(piece) for piece in pieces] == joined
