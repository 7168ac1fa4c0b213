"""How much of everything the chaos tests do, and the figures that they note.

`CHAOS_SIZE=full` is the long run of `make chaos`; `CHAOS_KILLS=20` and the like change one number.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

_SIZES = {
    # name: (in CI, in full)
    "conversations": (2, 3),  # of each of four users
    "kills": (4, 200),
    "killed_turns": (40, 2000),
    "sqlite_kills": (2, 20),
    "sqlite_turns": (16, 200),
    "reloads": (16, 200),
    "leaves": (16, 200),
    "cancels": (16, 200),
    "sends": (50, 50),
    "races": (25, 1000),
    "freezes": (1, 3),
    "stops": (1, 20),
    "streams": (16, 50),
    "restarts": (2, 20),
    "redis_turns": (8, 50),
}
_SECONDS = {
    "lease": (3.0, 15.0),
    "frozen": (0.0, 40.0),
}


def full() -> bool:
    """Whether this is the long run."""
    return os.environ.get("CHAOS_SIZE") == "full"


def size(name: str) -> int:
    """Return how often something is done."""
    return int(os.environ.get(f"CHAOS_{name.upper()}", _SIZES[name][full()]))


def seconds(name: str) -> float:
    """Return how long something lasts."""
    return float(os.environ.get(f"CHAOS_{name.upper()}", _SECONDS[name][full()]))


def outages() -> Sequence[float]:
    """Return for how many seconds the database is away."""
    return (1.0, 10.0, 60.0) if full() else (1.0,)


def note(case: str, **figures: object) -> None:
    """Keep what was measured, if somebody wants it: a line of JSON in the file `CHAOS_FIGURES`."""
    if named := os.environ.get("CHAOS_FIGURES"):
        with Path(named).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"case": case, **figures}) + "\n")


def table(lines: Iterable[str]) -> Iterator[str]:
    """Yield what was noted as a table in Markdown."""
    yield "| case | figures |"
    yield "| --- | --- |"
    for line in lines:
        figures = json.loads(line)
        case = figures.pop("case")
        told = ", ".join(f"{name} {value}" for name, value in figures.items())
        yield f"| {case} | {told.replace('_', ' ')} |"


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the middle, the 99th percentile and the largest of some seconds, in milliseconds."""
    ordered = sorted(values)
    if not ordered:
        return {}
    at = {"p50": len(ordered) // 2, "p99": int(len(ordered) * 0.99), "max": len(ordered)}
    return {
        f"{name}_ms": round(1000 * ordered[min(place, len(ordered) - 1)], 1)
        for name, place in at.items()
    }


if __name__ == "__main__":
    print("\n".join(table(sys.stdin)))  # noqa: T201 - a script's output
