"""Chatkeep beside the plainest server on the same SDKs, on this machine, now.

Both are measured in turn (ABAB…), in fresh processes, each on a core of its own while the mock
provider and the load generator share another; so what else the machine does meets both alike, and
the ratios can be trusted more than the figures. The exit status is 1 if a turn failed.
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any, Self

import uvloop

import procs
from load import Shape, drive

_HERE = Path(__file__).parent
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_SHAPE_SECONDS = 180.0
_PACKAGES = "openai-chatkit openai-agents openai fastapi starlette uvicorn pydantic sqlalchemy"

type Figures = dict[str, Any]


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


FULL = _plan(rounds=5, turns=60, held=200, held_tokens=40, ramp=4.0)
QUICK = _plan(rounds=2, turns=20, held=60, held_tokens=12, ramp=1.2)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    title: str
    name: str
    digits: int = 2


ROWS = (
    Row("CPU per turn, without its tokens (ms)", "turn_ms"),
    Row("CPU per token, burst (µs)", "burst_us", 0),
    Row("CPU per token, one at a time (µs)", "paced_us", 0),
    Row("added to the first token, idle (ms)", "first_ms"),
    Row("first of 200 tokens later than one alone (ms)", "late_ms"),
    Row("memory per held stream (KiB)", "stream_kb", 0),
    Row("memory before the load (MiB)", "rss_mb", 0),
    Row("start of the process to its first answer (s)", "start_s"),
    Row("failed turns", "failed", 0),
)


class Bench:
    """The processes of a run. Use as a context manager: all of them end with it."""

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.server_core, self.tool_core = cores[0], cores[-1]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        os.sched_setaffinity(0, {self.tool_core})
        port = _free_port()
        command = [sys.executable, str(_HERE / "mockllm.py"), "--port", str(port)]
        self._stack.enter_context(self._process(command, self.tool_core, {}))
        self.upstream = f"http://127.0.0.1:{port}/v1"
        _wait(f"{self.upstream}/models")
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextmanager
    def _process(
        self, command: list[str], core: int, environment: dict[str, str]
    ) -> Iterator[subprocess.Popen[bytes]]:
        log = tempfile.TemporaryFile(dir=self.directory)  # noqa: SIM115 - closed below
        os.sched_setaffinity(0, {core})  # inherited
        try:
            child = subprocess.Popen(
                command,
                cwd=self.directory,
                env={"PATH": os.environ["PATH"], **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C is for us; we end it
            )
        finally:
            os.sched_setaffinity(0, {self.tool_core})
        try:
            yield child
        except (Exception, SystemExit):
            log.seek(0)
            said = log.read()[-4000:].decode(errors="replace")
            status = child.poll()
            state = "running" if status is None else f"ended with status {status}"
            print(f"\n{said}\n{command[1:]}: {state}", file=sys.stderr)
            raise
        finally:
            child.terminate()
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            log.close()

    def visit(self, server: str, plan: Plan, *, held: bool) -> Figures:
        """Start a server, measure it, stop it."""
        port = _free_port()
        with tempfile.TemporaryDirectory(dir=self.directory) as data:
            command, environment = _server(server, port, data, self.upstream)
            started = time.perf_counter()
            with self._process(command, self.server_core, environment) as child:
                _wait(f"http://127.0.0.1:{port}/livez", child)
                start_s = time.perf_counter() - started
                busy, wall = procs.core_busy(self.server_core), time.perf_counter()
                own = procs.usage(child.pid)
                figures = self._measure(f"http://127.0.0.1:{port}/chatkit", child.pid, plan, held)
                wall = time.perf_counter() - wall
                busy = procs.core_busy(self.server_core) - busy
                foreign = (busy - (procs.usage(child.pid).cpu - own.cpu)) / wall
        return {**figures, "start_s": start_s, "foreign": max(0.0, foreign), "wall_s": wall}

    def _measure(self, url: str, pid: int, plan: Plan, held: bool) -> Figures:
        raw = {}
        # Held streams come first: a later growth of the heap would hide in what was freed before.
        for name in ("held", "one", "burst", "paced") if held else ("one", "burst", "paced"):
            shape: Shape = getattr(plan, name)
            work = drive(url, shape, upstream=self.upstream if name == "one" else None, pid=pid)
            raw[name] = uvloop.run(asyncio.wait_for(work, _SHAPE_SECONDS))
            if raw[name]["failed"]:
                print(f"\n{name}: {raw[name]['failed']} failed", file=sys.stderr)
        one, burst, paced = raw["one"], raw["burst"], raw["paced"]
        per_token = (burst["cpu_ms_per_turn"] - one["cpu_ms_per_turn"]) / (plan.burst.tokens - 1)
        turn_ms = one["cpu_ms_per_turn"] - per_token
        figures = {
            "turn_ms": turn_ms,
            "burst_us": per_token * 1000,
            "paced_us": (paced["cpu_ms_per_turn"] - turn_ms) * 1000 / plan.paced.tokens,
            "first_ms": one["added_first_ms"],
            "late_ms": burst["first_text_ms"]["p50"] - one["first_text_ms"]["p50"],
            "failed": sum(each["failed"] for each in raw.values()),
            "rss_mb": raw["held" if held else "one"]["rss_before_kb"] / 1024,
            "raw": raw,
        }
        if held:
            figures["stream_kb"] = raw["held"]["rss_kb_per_stream"]
        return figures


def _server(server: str, port: int, data: str, upstream: str) -> tuple[list[str], dict[str, str]]:
    """Return the command and environment of `baseline`, or of the Chatkeep in a directory."""
    environment = {"OPENAI_BASE_URL": upstream, "HOME": data}
    if server == "baseline":
        return [sys.executable, str(_HERE / "baseline.py"), "--port", str(port)], environment
    return [sys.executable, "-m", "chatkeep", "serve", "--port", str(port)], {
        **environment,
        "PYTHONPATH": server,
        "MODEL_NAME": "mock-model",
        "CHATKEEP_DATA_DIR": data,
        "CHATKEEP_MODELS_TITLES": "words",
        "CHATKEEP_LOG_LEVEL": "warning",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str, child: subprocess.Popen[bytes] | None = None) -> None:
    """Return when the URL answers."""
    end = time.perf_counter() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            if time.perf_counter() > end or (child and child.poll() is not None):
                raise SystemExit(f"{url} does not answer") from None
            time.sleep(0.02)


def _versions() -> dict[str, str]:
    names = [*_PACKAGES.split(), "chatkeep"]
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _values(visits: list[Figures], name: str) -> list[float]:
    return [visit[name] for visit in visits if name in visit]


def _table(titles: tuple[str, str], candidate: list[Figures], baseline: list[Figures]) -> str:
    width = max(len(row.title) for row in ROWS)
    head = "| " + " | ".join(
        [f"{'median (lowest to highest)':{width}}", *(f"{t:>22}" for t in titles), f"{'ratio':>5}"]
    )
    lines = [head + " |", f"|{'-' * (width + 2)}|{'-' * 23}:|{'-' * 23}:|{'-' * 6}:|"]
    for row in ROWS:
        cells = [f"{row.title:{width}}"]
        for visits in (candidate, baseline):
            values, digits = _values(visits, row.name), row.digits
            cell = f"{statistics.median(values):.{digits}f}"
            if min(values) != max(values):
                cell += f" ({min(values):.{digits}f} to {max(values):.{digits}f})"
            cells.append(f"{cell:>22}")
        pairs = zip(_values(candidate, row.name), _values(baseline, row.name), strict=True)
        ratios = [ours / theirs for ours, theirs in pairs if theirs]
        cells.append(f"{statistics.median(ratios) if ratios else 0:5.2f}" if ratios else " " * 5)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _interrupted(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="less of everything, in under a minute")
    add("--rounds", type=int, help=f"rounds of both servers (default: {FULL.rounds})")
    add("--out", type=Path, help="where the raw figures go (default: a temporary file)")
    add("--source", default=str(_HERE.parent / "src"), help="the Chatkeep to measure")
    add("--against", default="baseline", help="the source of another Chatkeep to compare with")
    options = parser.parse_args()
    if not hasattr(os, "sched_setaffinity"):
        parser.error("this needs Linux: CPU time and cores come from its kernel")
    plan = QUICK if options.quick else FULL
    plan = replace(plan, rounds=options.rounds or plan.rounds)
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _interrupted)
    candidate: list[Figures] = []
    baseline: list[Figures] = []
    against = options.against
    against = against if against == "baseline" else str(Path(against).resolve())
    try:
        with Bench() as bench:
            for number in range(plan.rounds):
                held = number == 0 or not options.quick
                for server, visits in (
                    (str(Path(options.source).resolve()), candidate),
                    (against, baseline),
                ):
                    print(f"\rround {number + 1} of {plan.rounds} ", end="", file=sys.stderr)
                    visits.append(bench.visit(server, plan, held=held))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print("\r" + " " * 20 + "\r", end="", file=sys.stderr)
    print(_table(("Chatkeep", Path(options.against).name), candidate, baseline))
    visits = candidate + baseline
    print(
        f"\nOther processes took {statistics.median(_values(visits, 'foreign')):.0%} of the "
        f"server's core (at most {max(_values(visits, 'foreign')):.0%}); "
        f"{statistics.median(v['raw']['one']['calibration_ms'] for v in visits):.1f} ms to "
        "calibrate."
    )
    failed = [each for v in visits for raw in v["raw"].values() for each in raw["error_samples"]]
    for each in failed:
        print(f"FAILED: {each}")
    result = {"versions": _versions(), "candidate": candidate, "baseline": baseline}
    out = options.out or Path(tempfile.mkdtemp(prefix="chatkeep-bench-")) / "figures.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1))
    print(f"Raw figures: {out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
