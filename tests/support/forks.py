"""Processes of a test's own that need not import everything again: forks of one that has."""

import traceback
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import Any, Self

_IMPORTED = [
    "alembic.command",
    "chatkeep.app",
    "chatkeep.stores.sql.migrate",
    "chatkeep.stores.sql.postgres",
    "chatkeep.stores.sql.sqlite",
    "chatkeep.stores.sql.store",
    "chatkeep.testing.store_samples",
    "pytest",
]


def fork_context() -> ForkServerContext:
    """Return what makes such processes."""
    context = get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    return context


class Fork:
    """A process that calls a function of a module, when told to.

    The function gets `say` first: a function that sends something to `hear()`.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        context = fork_context()
        self._pipe, other = context.Pipe()
        self.process = context.Process(target=_run, args=(other, function, arguments), daemon=True)
        self.process.start()
        other.close()
        assert self.hear() == "ready"

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.join()
        self._pipe.close()

    def go(self) -> Self:
        """Let it begin."""
        self._pipe.send("go")
        return self

    def hear(self) -> Any:
        """Return what it says next; its function's result comes last.

        Raises:
            AssertionError: It failed.
            EOFError: It has ended.
        """
        said = self._pipe.recv()
        if isinstance(said, _Failure):
            raise AssertionError(said.text)  # noqa: TRY004 - the test is told
        return said


class _Failure:
    """A traceback."""

    def __init__(self, text: str) -> None:
        self.text = text


def _run(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    pipe.send("ready")
    pipe.recv()
    try:
        pipe.send(function(pipe.send, *arguments))
    except Exception:  # noqa: BLE001 - whatever it is, the test shows it
        pipe.send(_Failure(traceback.format_exc()))
