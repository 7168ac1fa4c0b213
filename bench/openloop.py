"""Turns that come whether or not earlier ones have ended: to the knee, at 70 % of it, and at 3x.

Times count from the moment a turn was due. What the generator was late itself is a figure of its
own: a run in which that is more than a few milliseconds says little.
"""

import asyncio
from dataclasses import replace
from typing import Any

import uvloop

from load import direct_first_ms, drive
from servers import Machine, Running, Server
from shape import Shape
from tables import Row

type Figures = dict[str, Any]

_TURN = Shape(tokens=100, gap_ms=20, concurrency=16, per_client=True, may_refuse=True, timeout=60)
_STRETCHED = 1.15
_STEP = 1.25
_ALLOWED_FIRST_MS = 500.0

ROWS = (
    Row("knee (turns/s, each 100 tokens in 2 s)", "knee", 1),
    Row("at 70 %: added to the first token, median (ms)", "calm_p50"),
    Row("at 70 %: the same, p99 (ms)", "calm_p99", 1),
    Row("at 3x: turns/s offered", "offered", 1),
    Row("at 3x: taken (%)", "taken", 0),
    Row("at 3x: added to the first token of those, median (ms)", "over_p50"),
    Row("at 3x: the same, p99 (ms)", "over_p99", 1),
    Row("p99 at 3x over that at 70 %", "ratio"),
    Row("at 3x: turns taken, p90 over that at 70 %", "stretch"),
    Row("generator late, p99 (ms)", "late", 1),
    Row("generator's core (%)", "generator", 0),
    Row("failed turns", "failed", 0),
)


def visit(machine: Machine, server: Server, guess: float, calm: float, over: float) -> Figures:
    """Search the knee from a guess of the capacity (turns/s) on; hold 70 % and 3x of it.

    Args:
        machine: Where.
        server: What.
        guess: Where the knee may be.
        calm: Seconds to hold 70 %.
        over: Seconds to hold 3x.
    """
    with machine.running(server) as running:
        direct = uvloop.run(direct_first_ms(machine.upstream, replace(_TURN, gap_ms=0)))
        idle = _hold(running, 1.0, 5.0)["total_ms"]["p90"]
        knee, sweep = _knee(running, guess, idle)
        held = _hold(running, 0.7 * knee, calm)
        burden = _hold(running, 3 * knee, over)
    taken = burden["turns"] - burden["refused"]
    calm_p99, over_p99 = (each["first_text_ms"]["p99"] - direct for each in (held, burden))
    return {
        "knee": knee,
        "calm_p50": held["first_text_ms"]["p50"] - direct,
        "calm_p99": calm_p99,
        "offered": 3 * knee,
        "taken": 100 * taken / burden["turns"],
        "over_p50": burden["first_text_ms"]["p50"] - direct,
        "over_p99": over_p99,
        "ratio": over_p99 / calm_p99,
        "stretch": burden["total_ms"]["p90"] / held["total_ms"]["p90"],
        "late": max(held["client_late_p99_ms"], burden["client_late_p99_ms"]),
        "generator": 100 * max(held["client_cpu_share"], burden["client_cpu_share"]),
        "failed": held["failed"] + burden["failed"],
        "errors": held["error_samples"] + burden["error_samples"],
        "raw": {"sweep": sweep, "calm": held, "over": burden},
    }


def _knee(running: Running, guess: float, idle: float) -> tuple[float, list[Figures]]:
    """Return the highest rate that is served as if it were alone."""
    sweep: list[Figures] = []

    def holds(rate: float) -> bool:
        found = _hold(running, rate, 8.0)
        sweep.append(found)
        return (
            not found["failed"]
            and found["refused"] <= 0.01 * found["turns"]
            and found["total_ms"]["p90"] <= _STRETCHED * idle
            and found["first_text_ms"]["p99"] <= _ALLOWED_FIRST_MS
        )

    rate = max(1.0, guess)
    if holds(rate):
        while holds(rate * _STEP):
            rate *= _STEP
        return rate, sweep
    while rate > 1.0:
        rate /= _STEP
        if holds(rate):
            break
    return rate, sweep


def _hold(running: Running, rate: float, seconds: float) -> Figures:
    shape = replace(_TURN, rate=rate, turns=max(5, round(rate * seconds)))
    work = drive(running.url, shape, pid=running.pid)
    return uvloop.run(asyncio.wait_for(work, seconds + 120))
