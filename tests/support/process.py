"""A server in a process of its own: `chatkeep serve`, or an application of the tests."""

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from support.ports import reserve_port
from support.waiting import PATIENCE


class ServerProcess:
    """A server in a process of its own: `chatkeep serve` unless another module is named.

    The module is run with `--port` and prints its address, and a line with "Stop" as it listens.
    """

    def __init__(
        self,
        environment: dict[str, str],
        directory: Path,
        program: tuple[str, ...] = ("chatkeep", "serve"),
    ) -> None:
        self._program = program
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            # Nothing is refused because the machine is slow.
            "CHATKEEP_OVERLOAD_LAG": "0",
            "CHATKEEP_OVERLOAD_STARTING": "1000",
            **environment,
        }
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self._port = str(reserve_port())  # which is still its own after a restart
        self.url = ""

    async def start(self) -> None:
        """Start it; after a restart it has the same address."""
        with (self._directory / "server.log").open("a") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", *self._program, "--port", self._port),
                cwd=self._directory,
                env=self._environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * PATIENCE):
                if await self._listening():
                    return
        await self.kill()
        said = (self._directory / "server.log").read_text()
        pytest.fail(f"the server did not start:\n{said}")

    async def _listening(self) -> bool:
        """Read what it prints until it listens; false when it ends instead."""
        assert self._process
        assert self._process.stdout
        async for line in self._process.stdout:
            if found := re.search(rb"http://127\.0\.0\.1:(\d+)", line):
                self.url = f"http://127.0.0.1:{found.group(1).decode()}/"
            if b"Stop" in line:
                return True
        return False

    async def kill(self) -> None:
        """Take the process away without a word."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        assert self._process
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def end(self, with_signal: int) -> int:
        """Send a signal and return the exit status."""
        assert self._process
        self.signal(with_signal)
        async with asyncio.timeout(PATIENCE):
            return await self._process.wait()


type StartProcess = Callable[..., Awaitable[ServerProcess]]
