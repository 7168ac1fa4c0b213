"""Connections to PostgreSQL: the hosts of a URL in turn, and what a failure is called."""

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from chatkeep.postgres.url import PostgresUrl

_NOT_THIS_HOST = (
    OSError,
    asyncpg.CannotConnectNowError,  # it starts, stops, or recovers
    asyncpg.TargetServerAttributeNotMatched,  # it is a standby
)


def connector(url: PostgresUrl, **options: Any) -> Callable[[], Awaitable[Any]]:
    """Return what makes a connection of the driver's, with the driver's options.

    The driver would spend the time of all hosts on a first one that is silent: each has its own.
    The one that was right last time comes first, or each connection would wait for that one.
    """
    hosts = list(url.dsns)

    async def connect() -> Any:
        failed: Exception = OSError("it has no host")
        for host in tuple(hosts):
            try:
                connection = await asyncpg.connect(host, timeout=url.connect_timeout, **options)
            except _NOT_THIS_HOST as error:
                failed = error
            else:
                hosts.sort(key=lambda each: each != host)
                return connection
        raise failed

    return connect


def reason(error: BaseException | None) -> str:
    """Return why something failed, as a part of a line."""
    if isinstance(error, socket.gaierror):
        return "its host is not known"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return text or type(error).__name__
