"""`chatkeep serve`: the server, until it is told to stop."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
import structlog
import uvicorn

from chatkeep import __version__
from chatkeep.errors import SettingsError
from chatkeep.settings import Settings, load_settings, unknown_names
from chatkeep.telemetry.logging import configure

if TYPE_CHECKING:
    from chatkeep import Chatkeep

_LAST_BYTES_SECONDS = 3
_YOUNG_OBJECTS = 10_000
"""How many there are before a collection; with Python's own number there is one every few turns."""

_log = structlog.get_logger(__name__)


@click.command()
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=int, help="The port to listen on; 0 for any that is free.")
@click.option("--config", type=click.Path(path_type=Path), help="A settings file.")
def serve(host: str | None, port: int | None, config: Path | None) -> None:
    """Start the server."""
    overrides = {"server.host": host, "server.port": port}
    settings = load_settings(file=config, overrides=overrides)
    configure(settings.log.format, settings.log.level)
    for name in unknown_names(os.environ):
        _log.warning("unknown environment variable", name=name)
    listener = listen(settings)
    with listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, listener))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's where it exists: a turn takes an eighth less of it. Not on Windows."""
    # Its debug mode crashes the process when a generator of the SDK is collected.
    debugs = sys.flags.dev_mode or os.environ.get("PYTHONASYNCIODEBUG")
    if debugs or find_spec("uvloop") is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    return factory


def listen(settings: Settings) -> socket.socket:
    """Return a bound socket.

    Raises:
        SettingsError: The address cannot be had.
    """
    host, port = settings.server.host, settings.server.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()  # two servers may bind one address, but only one may listen
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise SettingsError(
            f"server.port: cannot listen on {host} port {port} ({error.strerror}); "
            "stop what uses it, or choose another one with --port or PORT"
        ) from error
    return listener


async def _serve(settings: Settings, listener: socket.socket) -> None:
    # A mistake in the settings has been told before the SDKs take their seconds to load.
    from chatkeep.app import Chatkeep  # noqa: PLC0415

    # Opened before the first request can come, so that a failure is a line and not a status.
    chatkeep = Chatkeep(settings=settings)
    await chatkeep.open()
    try:
        # The lifespan is ours: uvicorn ends it before the handlers it cancels have cleaned up.
        config = uvicorn.Config(
            chatkeep,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # After the drain: what is left are readers that do not read their last bytes.
            timeout_graceful_shutdown=_LAST_BYTES_SECONDS,
        )
        await _Server(config, chatkeep, listener).serve([listener])
    finally:
        await chatkeep.aclose()


class _Server(uvicorn.Server):
    """uvicorn, which drains before it closes anything."""

    def __init__(
        self, config: uvicorn.Config, chatkeep: "Chatkeep", listener: socket.socket
    ) -> None:
        super().__init__(config)
        self._chatkeep = chatkeep
        self._listener = listener

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say where to look."""
        await super().startup(sockets)
        _leave_alone()
        host, port = self._listener.getsockname()[:2]
        click.echo(_banner(self._chatkeep, f"[{host}]" if ":" in host else host, port))
        sys.stdout.flush()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals in the loop; uvicorn would raise them again before we have closed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop on the first signal; do not wait for answers any longer on the second."""
        if self.should_exit:
            self._chatkeep.engine.hurry()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let answers finish while probes still get theirs, then close the connections."""
        await self._chatkeep.drain()
        await super().shutdown(sockets)


def _leave_alone() -> None:
    """Have the garbage collector look at nothing that was made until now.

    It stays until the end, and to look at it again and again takes a sixth of a busy server's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])


def _banner(chatkeep: "Chatkeep", host: str, port: int) -> str:
    models = chatkeep.catalog
    others = ", ".join(entry.label for entry in models.entries[1:])
    url = chatkeep.database_url
    place = url.partition("@")[2] or url  # without a password
    lines = [
        f"Chatkeep {__version__}",
        f"  Chat    http://{host}:{port}",
        f"  Model   {models.default.label}: {models.default.description}",
        *([f"          also: {others}"] if others else []),
        f"  Kept in {place}",
        "  Stop    Ctrl-C",
    ]
    return "\n".join(lines)
