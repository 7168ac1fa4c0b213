"""Ports that nobody else takes, for servers that are told theirs or come back to it.

A port that the system gave away for a moment may be somebody else's in the next: it takes those of
its clients, and of every server that asks for any, from one range. These are from outside of it.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

_FIRST, _EACH = 20_000, 1_000
_turn = count()


def reserve_port() -> int:
    """Return a port that is free, that this process has not returned before, nor a sibling does."""
    sibling = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
    start = os.getpid()  # another run of the tests, on the same machine, has another one
    while True:
        port = _FIRST + _EACH * sibling + (start + next(_turn)) % _EACH
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port at which every connection is refused, and which nobody can take meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
