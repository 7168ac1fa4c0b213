"""Wake-ups through PostgreSQL: LISTEN and NOTIFY on a connection of its own, beside the pool.

A notification is a transaction, and those of a whole server queue for a moment: hence joined ids.
Behind a pooler a session is not ours alone. One in transaction mode, as the URL says, is not even
tried; any other one is used and not relied on, as it does not tell its mode.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import asyncpg

from chatkeep.errors import RelayUnavailableError
from chatkeep.postgres.connecting import connector, reason
from chatkeep.postgres.url import PostgresUrl
from chatkeep.relay.linked import Connect, Link, Receive

CHANNEL = "chatkeep_wake"

_ANSWER = 5.0
"""Seconds that the server may take for a statement."""
_CLOSE = 1.0
_NOTIFY = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload"

_FAILURES = (
    OSError,  # also a TimeoutError
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class PostgresLink(Link):
    """A session that listens."""

    def __init__(self, connection: Any, lost: asyncio.Event, *, steady: bool) -> None:
        self._connection = connection
        self._lost = lost
        self.steady = steady

    async def listen(self) -> None:
        """Wait for the end of the connection: the driver passes messages on."""
        await self._lost.wait()
        raise RelayUnavailableError(hint="the connection ended")

    async def send(self, messages: Sequence[str]) -> None:
        """Notify of everything in one transaction."""
        try:
            await self._connection.execute(_NOTIFY, CHANNEL, messages)
        except _FAILURES as error:
            raise RelayUnavailableError(hint=reason(error)) from error

    async def aclose(self) -> None:
        """End the session."""
        await _end(self._connection)


def listener(url: PostgresUrl) -> Connect:
    """Return what listens at a server."""
    dial = connector(
        url,
        command_timeout=_ANSWER,
        statement_cache_size=0,  # whatever is in between
        server_settings={"application_name": "chatkeep relay"},
    )

    async def connect(receive: Receive) -> Link:
        try:
            connection = await dial()
            try:
                return await _listening(connection, receive)
            except BaseException:  # no connection stays behind; passed on
                await _end(connection)
                raise
        except _FAILURES as error:
            raise RelayUnavailableError(hint=reason(error)) from error

    return connect


async def _listening(connection: Any, receive: Receive) -> Link:
    lost = asyncio.Event()

    def ended(_: Any) -> None:
        lost.set()

    def notified(_: Any, __: int, ___: str, payload: str) -> None:
        receive(payload)

    connection.add_termination_listener(ended)
    await connection.add_listener(CHANNEL, notified)
    session = await connection.fetchval("SELECT pg_backend_pid()")
    # A pooler gives a number of its own.
    return PostgresLink(connection, lost, steady=session == connection.get_server_pid())


async def _end(connection: Any) -> None:
    with suppress(*_FAILURES):
        await connection.close(timeout=_CLOSE)
    connection.terminate()  # at once, if it has not ended
