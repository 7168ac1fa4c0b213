"""How many streams of 50 tokens a second a core holds before turns take longer than they should."""

import asyncio
import math
from typing import Any

import uvloop

from load import drive
from servers import Machine, Running, Server
from shape import Shape
from tables import Row

type Figures = dict[str, Any]

_GAP_MS = 20
_STRETCHED = 1.1
"""How many times as long as alone the slowest tenth of the turns may take."""

_STEP = 1.12
_STARTS = 15.0  # streams a second, so that it is not the starts that are measured
_MOST = 2_000

ROWS = (
    Row("50-token/s streams per core, turns not stretched", "streams", 0),
    Row("failed turns", "failed", 0),
)


def visit(machine: Machine, server: Server, guess: float) -> Figures:
    """Search for the largest number of streams, from a guess on: double or halve, then bisect."""
    with machine.running(server) as running:
        alone = _probe(running, 1)["total_ms"]["p50"]
        tried: dict[int, Figures] = {}

        def holds(streams: int) -> bool:
            found = _probe(running, streams)
            tried[streams] = found
            return not found["failed"] and found["total_ms"]["p90"] <= _STRETCHED * alone

        low, high = 1, _MOST
        streams = max(2, min(_MOST, round(guess)))
        while high > math.ceil(low * _STEP):
            if holds(streams):
                low = streams
                step = streams * 1.5
            else:
                high = streams
                step = streams / 1.5
            found_both = low > 1 and high < _MOST
            streams = round(math.sqrt(low * high)) if found_both else max(2, round(step))
            if not low < streams < high:
                break
        # A number that does not hold may well fail turns: that is how it is told.
        failed = tried[low]["failed"] if low in tried else 0
        return {"streams": low, "alone_ms": alone, "failed": failed, "raw": tried}


def _probe(running: Running, streams: int) -> Figures:
    ramp = streams / _STARTS
    seconds = ramp + 5.0  # all of them at once for five
    shape = Shape(
        turns=streams,
        concurrency=streams,
        ramp=ramp,
        tokens=int(seconds * 1000 / _GAP_MS),
        gap_ms=_GAP_MS,
        timeout=4 * seconds,
    )
    if streams == 1:
        shape.tokens = 100
    figures = uvloop.run(asyncio.wait_for(drive(running.url, shape, pid=running.pid), 10 * seconds))
    # Of streams of another length the time would be another one.
    scale = 100 / shape.tokens
    for name in figures["total_ms"]:
        figures["total_ms"][name] *= scale if name != "n" else 1
    return figures
