"""A server in a thread of its own, whose event loop is watched: how long does it work at a time?

What counts is the CPU time of the thread within one callback of the loop, so other processes,
slow disks and the test itself, which runs on another thread, do not matter. A collection of
garbage or a hypervisor that takes the core away can still fall into any callback: look at what
comes again and again.
"""

import asyncio
import gc
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from chatkeep import Chatkeep
from support.live import LiveServer

_SAMPLE_SECONDS = 0.001


class Watchdog:
    """Measures the callbacks of one thread's loop.

    Attributes:
        longest: Seconds of CPU of the longest callback since the last reset.
        stack: Where that was when it was looked at last, as lines of text.
    """

    def __init__(self) -> None:
        self.thread = 0
        self._seen: list[str] = []
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.longest = 0.0
        self.stack: list[str] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Measure every callback meanwhile."""
        run: Callable[[asyncio.Handle], None] = asyncio.Handle._run

        def measured(handle: asyncio.Handle) -> None:
            if threading.get_ident() != self.thread:
                run(handle)
                return
            self._seen = []
            started = time.thread_time()
            run(handle)
            taken = time.thread_time() - started
            if taken > self.longest:
                self.longest, self.stack = taken, self._seen

        changed: Any = asyncio.Handle
        changed._run = measured
        over = threading.Event()
        sampler = threading.Thread(target=self._sample, args=[over], name="sampler")
        sampler.start()
        try:
            yield
        finally:
            changed._run = run
            over.set()
            sampler.join()

    def _sample(self, over: threading.Event) -> None:
        while not over.wait(_SAMPLE_SECONDS):
            seen, frame = self._seen, sys._current_frames().get(self.thread)
            if frame is not None:
                lines = traceback.extract_stack(frame)
                seen[:] = [f"{each.filename}:{each.lineno} {each.name}" for each in lines]


class WatchedServer:
    """Chatkeep in a thread with a loop of its own, as a context manager.

    Args:
        make: Makes it; called in the thread.
    """

    def __init__(self, make: Callable[[], Chatkeep]) -> None:
        self._make = make
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="server")
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self.watchdog = Watchdog()
        self.url = ""

    def __enter__(self) -> Self:
        """Start it."""
        self._watching = self.watchdog.watching()
        self._watching.__enter__()
        self._thread.start()
        assert self._ready.wait(120), "the server did not start"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._watching.__exit__(kind, error, trace)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.watchdog.thread = threading.get_ident()
        async with LiveServer(self._make()) as live:
            self.url = live.url
            gc.freeze()
            self._ready.set()
            await self._stop.wait()


def slowness() -> float:
    """Return how many times as long as on a machine of 2020 a piece of Python takes here now."""
    best = float("inf")
    for _ in range(3):
        started = time.thread_time()
        seen: dict[int, int] = {}
        x = 0
        for i in range(60_000):
            x = (x * 1103515245 + i) & 0xFFFFFFFF
            seen[x & 1023] = i
        best = min(best, time.thread_time() - started)
    return best / 0.010
