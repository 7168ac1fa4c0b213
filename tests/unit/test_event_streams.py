"""Events as an HTTP response: signs of life, ends, and readers that leave or stand still."""

import asyncio
from collections.abc import Sequence
from typing import Any, Self

import pytest

from chatkeep.errors import ChatkeepError, NotFoundError, PrunedError, StoreUnavailableError
from chatkeep.http.stream import EventsResponse, Framing
from chatkeep.turns.log import Numbered
from chatkeep.turns.reading import Batch, Then

pytestmark = pytest.mark.usefixtures("instant_time")

ONE = Batch([Numbered(1, b'{"type":"one"}')], Then.MORE)
LAST = Batch([Numbered(7, b'{"type":"last"}')], Then.NOTHING)


class Script:
    """A source that waits and answers as written: seconds of silence, batches, errors."""

    noted = False

    def __init__(self, *steps: float | Batch | ChatkeepError) -> None:
        self._steps = list(steps)
        self.asked = 0
        self.open = False

    def __enter__(self) -> Self:
        self.open = True
        return self

    def __exit__(self, *_: object) -> None:
        self.open = False

    async def next(self, seconds: float) -> Batch:
        """Return what comes next within some seconds."""
        self.asked += 1
        step = self._steps[0]
        if isinstance(step, float | int):
            waits = min(seconds, step)
            await asyncio.sleep(waits)
            self._steps[0] = step - waits
            if self._steps[0] <= 0:
                del self._steps[0]
            return Batch((), Then.MORE)
        del self._steps[0]
        if isinstance(step, ChatkeepError):
            raise step
        return step


class Reader:
    """A client: takes what is sent, and leaves or stands still when told."""

    def __init__(self, *, leaves_after: float | None = None, stalls: bool = False) -> None:
        self.body = b""
        self.done = False
        self.times: list[float] = []
        self.seen: list[bytes] = []
        self.left = 0
        self._leaves_after = leaves_after
        self._stalls = stalls

    async def receive(self) -> dict[str, Any]:
        """Say when it leaves."""
        if self._leaves_after is None:
            await asyncio.Event().wait()
        await asyncio.sleep(self._leaves_after or 0)
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Take a part of the response."""
        if message["type"] != "http.response.body":
            return
        self.times.append(asyncio.get_running_loop().time())
        if self._stalls:
            await asyncio.Event().wait()
        self.body += message["body"]
        self.done = not message["more_body"]

    async def read(
        self,
        source: Script,
        framing: Framing = Framing.NUMBERED,
        first: Batch | None = None,
    ) -> Sequence[str]:
        """Have a response sent; return its frames."""

        async def seen() -> None:
            self.seen.append(self.body)

        def left() -> None:
            self.left += 1

        response = EventsResponse(
            source,
            framing,
            present=lambda json: json,
            headers={},
            first=first,
            seen=seen,
            left=left,
        )
        await response({}, self.receive, self.send)
        assert not source.open
        return self.body.decode().split("\n\n")[:-1]


async def test_silence_is_broken_every_quarter_of_a_minute() -> None:
    """Comments keep a connection alive; they come as long as nothing else does."""
    reader = Reader()

    frames = await reader.read(Script(40, ONE, 20, LAST))

    assert frames == [
        ": ",
        ": ",
        'id: 1\ndata: {"type":"one"}',
        ": ",
        'id: 7\ndata: {"type":"last"}',
        ": end",
    ]
    gaps = [after - before for before, after in zip(reader.times, reader.times[1:], strict=False)]
    assert max(gaps) <= 15.1


async def test_official_clients_get_the_same_without_numbers() -> None:
    """The bytes of the SDK, and comments, which all parsers skip."""
    frames = await Reader().read(Script(20, ONE, LAST), Framing.SSE)

    assert frames == [": ", 'data: {"type":"one"}', 'data: {"type":"last"}']


async def test_lines_of_json_have_no_sign_of_life() -> None:
    """Silence costs nothing there: the source is asked some times a minute, and not in a loop."""
    reader, source = Reader(), Script(600, ONE, LAST)

    await reader.read(source, Framing.NDJSON)

    assert reader.body == b'{"type":"one"}\n{"type":"last"}\n'
    assert source.asked < 100


async def test_what_was_read_already_comes_first() -> None:
    """And may be all there is."""
    assert await Reader().read(Script(), first=LAST) == ['id: 7\ndata: {"type":"last"}', ": end"]


async def test_remarks_are_for_who_reads_numbers() -> None:
    """Where a thread's next turn begins, for instance."""
    remark = Batch((), Then.MORE, comment="turn trn_1")

    assert (await Reader().read(Script(remark, LAST)))[0] == ": turn trn_1"
    assert b"trn_1" not in (await _body(Script(remark, LAST), Framing.SSE))


async def _body(source: Script, framing: Framing) -> bytes:
    reader = Reader()
    await reader.read(source, framing)
    return reader.body


AWAY = [
    Batch([Numbered(1, b'{"type":"one"}')], Then.ELSEWHERE),
    StoreUnavailableError(),
    PrunedError(),
    NotFoundError(),
]


@pytest.mark.parametrize("why", AWAY, ids=["elsewhere", "no store", "pruned", "deleted"])
async def test_a_reader_is_sent_away(why: Batch | ChatkeepError) -> None:
    """One with numbers is told to come back, one without to try again; nothing counts as seen."""
    reader = Reader()
    assert (await reader.read(Script(why)))[-1] == ": reconnect"
    assert (reader.done, reader.seen) == (True, [])
    for framing in (Framing.SSE, Framing.NDJSON):
        body = await _body(Script(why), framing)
        assert body.count(b'"type":"error"') == 1
        assert b"restarting" in body.splitlines()[-1 if framing is Framing.NDJSON else -2]


async def test_the_end_is_noted_before_it_is_told() -> None:
    """Who asks for the list behind the end finds the thread read."""
    reader = Reader()
    await reader.read(Script(ONE, LAST))

    (body,) = reader.seen
    assert b"last" in body
    assert b": end" not in body
    assert (reader.done, reader.left) == (True, 0)


async def test_a_reader_that_leaves_is_let_go() -> None:
    """Nothing more is sent, the source is closed, and whoever wants to know is told."""
    reader = Reader(leaves_after=3)

    await reader.read(Script(ONE, 1000, LAST))

    assert b"one" in reader.body
    assert (reader.done, reader.left, reader.seen) == (False, 1, [])


async def test_a_reader_that_takes_nothing_is_let_go() -> None:
    """After a minute it is taken for gone."""
    reader, loop = Reader(stalls=True), asyncio.get_running_loop()
    began = loop.time()

    await reader.read(Script(ONE, LAST))

    assert loop.time() - began == pytest.approx(60, abs=1)
    assert (reader.done, reader.left) == (False, 1)
