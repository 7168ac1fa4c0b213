"""Whether memory grows with time: turns at a moderate rate, and a line through the samples."""

import asyncio
import contextlib
import statistics
import time
from typing import Any

import uvloop

import procs
from load import drive
from servers import Machine, Server
from shape import Shape
from tables import Row

type Figures = dict[str, Any]

_EVERY = 5.0
_SKIPPED = 0.25
"""The share of the time at whose end pools and caches are taken to be full."""

ROWS = (
    Row("soak (minutes)", "minutes", 0),
    Row("turns", "turns", 0),
    Row("resident memory at its end (MiB)", "rss_mb", 0),
    Row("slope of resident memory (MiB/h)", "slope", 1),
    Row("failed turns", "failed", 0),
)


def visit(machine: Machine, server: Server, rate: float, seconds: float) -> Figures:
    """Load a server for so long, with so many turns a second."""
    shape = Shape(
        turns=round(rate * seconds),
        rate=rate,
        concurrency=16,
        per_client=True,
        tokens=100,
        gap_ms=10,
    )
    samples: list[tuple[float, float]] = []

    async def watch(pid: int) -> None:
        while True:
            samples.append((time.perf_counter(), procs.usage(pid).rss / 2**20))
            await asyncio.sleep(_EVERY)

    async def run(url: str, pid: int) -> Figures:
        watching = asyncio.create_task(watch(pid))
        figures = await drive(url, shape, pid=pid)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        return figures

    with machine.running(server) as running:
        figures = uvloop.run(run(running.url, running.pid))
    counted = samples[int(_SKIPPED * len(samples)) :]
    slope = statistics.linear_regression(*zip(*counted, strict=True)).slope * 3600
    return {
        "minutes": seconds / 60,
        "turns": figures["turns"],
        "rss_mb": counted[-1][1],
        "slope": slope,
        "failed": figures["failed"],
        "errors": figures["error_samples"],
        "raw": {"load": figures, "rss": samples},
    }
