"""CPU time, memory and noise, from the kernel's own accounts (Linux)."""

import os
import time
from pathlib import Path
from typing import NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")
_BUSY = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal


class Usage(NamedTuple):
    """What a process and its descendants have used."""

    cpu: float
    """Seconds, user and system."""
    rss: int
    """Bytes."""


def tree(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        found.append(parent)
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except OSError:
            pass
    return found


def usage(pid: int | None) -> Usage:
    """Return the use of a process tree; zeros without one."""
    cpu, rss = 0.0, 0
    for each in tree(pid) if pid else []:
        try:
            # The process' CPU clock: nanoseconds, all threads, also those that have ended.
            cpu += time.clock_gettime((~each << 3) | 2)
            pages = Path(f"/proc/{each}/statm").read_text().split()[1]
            rss += int(pages) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            pass
    return Usage(cpu, rss)


def core_busy(core: int) -> float:
    """Return the seconds that a core has been busy since boot, for whomever."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            return sum(int(fields[i]) for i in _BUSY) / _TICK
    return 0.0


def calibrate() -> float:
    """Return the milliseconds of CPU that a fixed piece of Python takes on this core just now."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        seen, x = {}, 0
        for i in range(60_000):
            x = (x * 1103515245 + i) & 0xFFFFFFFF
            seen[x & 1023] = i
        best = min(best, time.process_time() - start)
    return best * 1000
