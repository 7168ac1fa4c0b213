"""Python's garbage collector, which need not look at what a process keeps for good."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def for_good() -> Iterator[None]:
    """Import and make what stays until the end of the process.

    Nothing is collected meanwhile, as little could be, and what is there afterwards is never
    looked through again. That is a quarter of a million objects, a pause of 100 ms each time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
