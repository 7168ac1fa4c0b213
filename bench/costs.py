"""What a turn and a token cost, when text comes first, and what a held stream takes."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import uvloop

from load import drive
from servers import Machine, Noise, Running, Server
from shape import Shape
from tables import Row

type Figures = dict[str, Any]

_SHAPE_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    held: Shape
    one: Shape
    burst: Shape
    paced: Shape


def _plan(rounds: int, turns: int, held: int, held_tokens: int, ramp: float) -> Plan:
    short = Shape(turns=2 * turns, tokens=1, pause_ms=5)
    return Plan(
        rounds=rounds,
        held=Shape(
            turns=held, concurrency=held, ramp=ramp, tokens=held_tokens, gap_ms=200, reread=True
        ),
        one=short,
        burst=replace(short, turns=turns, tokens=200),
        paced=Shape(turns=turns // 2, concurrency=10, ramp=0.2, tokens=100, gap_ms=20),
    )


FULL = _plan(rounds=3, turns=60, held=200, held_tokens=70, ramp=8.0)
QUICK = _plan(rounds=2, turns=20, held=60, held_tokens=25, ramp=3.0)

ROWS = (
    Row("CPU per turn, without its tokens (ms)", "turn_ms"),
    Row("CPU per token, burst (µs)", "burst_us", 0),
    Row("CPU per token, one at a time (µs)", "paced_us", 0),
    Row("added to the first token, idle (ms)", "first_ms"),
    Row("first of 200 tokens over one alone", "late_ratio"),
    Row("memory per held stream (KiB)", "stream_kb", 0),
    Row("memory before the load (MiB)", "rss_mb", 0),
    Row("start of the process to its first answer (s)", "start_s"),
    Row("failed turns", "failed", 0),
)


def visit(machine: Machine, server: Server, plan: Plan, *, held: bool = True) -> Figures:
    """Start a server, measure it, stop it."""
    with machine.running(server) as running:
        noise = Noise(machine, running.pid)
        figures = _measure(machine, running, plan, held and server.protocol == "chatkit")
        return {**figures, "start_s": running.start_s, "foreign": noise.share()}


def _measure(machine: Machine, running: Running, plan: Plan, held: bool) -> Figures:
    raw = {}
    # Held streams come first: a later growth of the heap would hide in what was freed before.
    for name in ("held", "one", "burst", "paced") if held else ("one", "burst", "paced"):
        shape = replace(getattr(plan, name), protocol=running.server.protocol)
        upstream = machine.upstream if name == "one" else None
        work = drive(running.url, shape, upstream=upstream, pid=running.pid)
        raw[name] = uvloop.run(asyncio.wait_for(work, _SHAPE_SECONDS))
    one, burst, paced = raw["one"], raw["burst"], raw["paced"]
    per_token = (burst["cpu_ms_per_turn"] - one["cpu_ms_per_turn"]) / (plan.burst.tokens - 1)
    turn_ms = one["cpu_ms_per_turn"] - per_token
    figures = {
        "turn_ms": turn_ms,
        "burst_us": per_token * 1000,
        "paced_us": (paced["cpu_ms_per_turn"] - turn_ms) * 1000 / plan.paced.tokens,
        "first_ms": one["added_first_ms"],
        "late_ratio": burst["first_text_ms"]["p50"] / max(0.001, one["first_text_ms"]["p50"]),
        "failed": sum(each["failed"] for each in raw.values()),
        "errors": [each for found in raw.values() for each in found["error_samples"]],
        "rss_mb": raw["held" if held else "one"]["rss_before_kb"] / 1024,
        "calibration_ms": one["calibration_ms"],
        "raw": raw,
    }
    if held:
        figures["stream_kb"] = raw["held"]["rss_kb_per_stream"]
    return figures
