"""Chatkeep beside the plainest server on the same SDKs, on this machine, now.

All servers are measured in turn (ABCABC…), in fresh processes, each on a core of its own while the
mock provider, the database and the load generator share another; so what else the machine does
meets all alike, and the ratios can be trusted more than the figures. The exit status is 1 if a
turn failed.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import capacity
import costs
import openloop
import sizes
import soak
from servers import BASELINE, HERE, PEER_SERVERS, PEERS, Machine, Server
from tables import Row, Visits, table, values

_PACKAGES = "openai-chatkit openai-agents openai fastapi starlette uvicorn pydantic sqlalchemy"
_CAPACITY = 0.85
"""Which share of a core the guesses take for full."""

type Figures = dict[str, Any]
type Columns = dict[str, list[Figures]]


class Part(NamedTuple):
    """A part of a run."""

    title: str
    rows: Sequence[Row]
    run: Callable[["Run"], Columns]


class Run:
    """A run: what is measured, and what was found."""

    def __init__(self, machine: Machine, options: argparse.Namespace) -> None:
        self.machine = machine
        self.quick: bool = options.quick
        self.soak: float = options.soak
        source = str(Path(options.source).resolve())
        titles = {"sqlite": "Chatkeep, SQLite", "postgres": "Chatkeep, PostgreSQL"}
        self.candidates = [Server(titles[each], source, each) for each in options.store]
        against = options.against
        self.baseline = (
            BASELINE
            if against == "baseline"
            else Server(f"{Path(against).stem} (other)", str(Path(against).resolve()))
        )
        plan = costs.QUICK if options.quick else costs.FULL
        self.plan = replace(plan, rounds=options.rounds or plan.rounds)
        self.found: dict[str, Columns] = {}

    def costs(self, servers: Sequence[Server], *, with_held: bool = True) -> Columns:
        """Measure costs, in rounds of all servers."""
        columns: Columns = {server.title: [] for server in servers}
        for number in range(self.plan.rounds):
            for server in servers:
                self._say(f"round {number + 1} of {self.plan.rounds}, {server.title}")
                held = with_held and (number == 0 or not self.quick)
                columns[server.title].append(
                    costs.visit(self.machine, server, self.plan, held=held)
                )
        return columns

    def each(
        self, servers: Iterable[Server], visit: Callable[[Machine, Server], Figures]
    ) -> Columns:
        """Measure each of some servers once."""
        columns: Columns = {}
        for server in servers:
            self._say(server.title)
            columns[server.title] = [visit(self.machine, server)]
        return columns

    def cost(self, server: Server, name: str, usual: float) -> float:
        """Return a cost that was measured before, or a usual one."""
        found = self.found.get("costs", {}).get(server.title, [])
        return statistics.median(values(found, name)) if found else usual

    def streams(self, server: Server) -> float:
        """Return how many streams of 50 tokens a second a core might carry."""
        return _CAPACITY * 1e6 / (50 * self.cost(server, "paced_us", 700))

    def rate(self, server: Server) -> float:
        """Return how many turns of 100 tokens a second a core might carry."""
        turn_us = self.cost(server, "turn_ms", 20) * 1000
        return _CAPACITY * 1e6 / (turn_us + 100 * self.cost(server, "paced_us", 700))

    def _say(self, what: str) -> None:
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


def _costs(run: Run) -> Columns:
    return run.costs([*run.candidates, run.baseline])


def _capacity(run: Run) -> Columns:
    return run.each(
        [*run.candidates, run.baseline],
        lambda machine, server: capacity.visit(machine, server, run.streams(server)),
    )


def _sizes(run: Run) -> Columns:
    items, threads, calls = (500, 500, 10) if run.quick else (5_000, 10_000, 60)
    servers = [each for each in [*run.candidates, run.baseline] if each.is_chatkeep]
    return run.each(
        servers, lambda machine, server: sizes.visit(machine, server, items, threads, calls)
    )


def _open_loop(run: Run) -> Columns:
    calm, over = (10, 10) if run.quick else (60, 30)
    return run.each(
        [*run.candidates, run.baseline],
        lambda machine, server: openloop.visit(machine, server, run.rate(server), calm, over),
    )


def _soak(run: Run) -> Columns:
    return run.each(
        run.candidates[:1],
        lambda machine, server: soak.visit(machine, server, 0.4 * run.rate(server), run.soak),
    )


def _peers(run: Run) -> Columns:
    if not PEERS.exists():
        print("\nno peers here: bench/peers.sh installs them", file=sys.stderr)
        return {}
    return run.costs([run.candidates[0], *PEER_SERVERS], with_held=False)


PARTS = {
    "costs": Part("Costs", costs.ROWS, _costs),
    "streams": Part("Streams", capacity.ROWS, _capacity),
    "sizes": Part("Long conversations and lists", sizes.ROWS, _sizes),
    "open-loop": Part("Open loop", openloop.ROWS, _open_loop),
    "soak": Part("Soak", soak.ROWS, _soak),
    "peers": Part("Peers", costs.ROWS, _peers),
}
_AGAINST = {"peers": lambda run: run.candidates[0].title}


def _report(run: Run, name: str, columns: Columns) -> list[str]:
    """Print a table; return what failed."""
    part = PARTS[name]
    if not columns:
        return []
    against = columns and _AGAINST.get(name, lambda run: run.baseline.title)(run)
    print(f"\r\033[K\n## {part.title}\n")
    print(table(part.rows, columns, against if against in columns else None), flush=True)
    visits: Visits = [visit for found in columns.values() for visit in found]
    return [f"{name}: {each}" for visit in visits for each in visit.get("errors", [])]


def _noise(run: Run) -> str:
    visits = [visit for found in run.found["costs"].values() for visit in found]
    foreign = values(visits, "foreign")
    return (
        f"Other processes took {statistics.median(foreign):.0%} of the server's core (at most "
        f"{max(foreign):.0%}); {statistics.median(values(visits, 'calibration_ms')):.1f} ms to "
        "calibrate."
    )


def _versions() -> dict[str, str]:
    names = [*_PACKAGES.split(), "chatkeep"]
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _interrupted(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("parts", nargs="*", help=f"of {', '.join(PARTS)} (default: all; with --quick: costs)")
    add("--quick", action="store_true", help="less of everything, and costs only, in a minute")
    add("--rounds", type=int, help=f"rounds of all servers (default: {costs.FULL.rounds})")
    add("--store", nargs="+", choices=["sqlite", "postgres"], help="Chatkeep's (default: both)")
    add("--soak", type=float, default=180, help="seconds of the soak (default: 180)")
    add("--out", type=Path, help="where the raw figures go (default: a temporary file)")
    add("--source", default=str(HERE.parent / "src"), help="the Chatkeep to measure")
    add("--against", default="baseline", help="another Chatkeep's source, or a server's file")
    options = parser.parse_args()
    options.store = options.store or (["sqlite"] if options.quick else ["sqlite", "postgres"])
    options.parts = options.parts or (["costs"] if options.quick else list(PARTS))
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    if not hasattr(os, "sched_setaffinity"):
        parser.error("this needs Linux: CPU time and cores come from its kernel")
    return options


def main() -> int:
    """Run from the command line."""
    options = _options()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _interrupted)
    failed: list[str] = []
    out = options.out or Path(tempfile.mkdtemp(prefix="chatkeep-bench-")) / "figures.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with Machine() as machine:
        run = Run(machine, options)
        try:
            for name in [each for each in PARTS if each in options.parts]:
                run.found[name] = PARTS[name].run(run)
                failed += _report(run, name, run.found[name])
                out.write_text(json.dumps({"versions": _versions(), **run.found}, indent=1))
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
    if "costs" in run.found:
        print(f"\n{_noise(run)}")
    for each in failed:
        print(f"FAILED: {each}")
    minutes = (time.monotonic() - started) / 60
    print(f"{minutes:.0f} minutes. Raw figures: {out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
