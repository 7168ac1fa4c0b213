"""Wake-ups through Redis or Valkey: one channel, a connection to listen and one to send.

The channel keeps nothing: who is not there misses what is said. Publishing costs the server about
as much as a read. Any node of a cluster passes messages on to the others.
"""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from chatkeep.errors import RelayUnavailableError
from chatkeep.relay.linked import Connect, Link, Receive
from chatkeep.relay.messages import LARGEST
from chatkeep.relay.redis_url import RedisUrl

_ANSWER = 5.0
"""Seconds that connecting, and any answer, may take."""
_CLOSE = 1.0

_FAILURES = (OSError, RedisError)


class RedisLink(Link):
    """A subscription, and a connection that publishes."""

    def __init__(self, client: Redis, subscription: PubSub, channel: str, receive: Receive) -> None:
        self._client = client
        self._subscription = subscription
        self._channel = channel
        self._receive = receive

    async def listen(self) -> None:
        """Pass messages on."""
        try:
            while True:
                message = await self._subscription.get_message(timeout=None)
                data = message["data"] if message and message["type"] == "message" else b""
                if 0 < len(data) <= LARGEST and data.isascii():
                    self._receive(data.decode("ascii"))
        except _FAILURES as error:
            raise RelayUnavailableError(hint=_reason(error)) from error

    async def send(self, messages: Sequence[str]) -> None:
        """Publish everything in one go."""
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for message in messages:
                    pipeline.publish(self._channel, message)
                await pipeline.execute()
        except _FAILURES as error:
            raise RelayUnavailableError(hint=_reason(error)) from error

    async def aclose(self) -> None:
        """Close both connections."""
        for each in (self._subscription, self._client):
            with suppress(*_FAILURES):
                async with asyncio.timeout(_CLOSE):
                    await each.aclose()


def connector(url: RedisUrl) -> Connect:
    """Return what connects to a server."""

    async def connect(receive: Receive) -> Link:
        client = _client(url)
        subscription = client.pubsub()
        link = RedisLink(client, subscription, url.channel, receive)
        try:
            await subscription.subscribe(url.channel)
        except BaseException as error:  # no connection stays behind; passed on
            await link.aclose()
            if isinstance(error, _FAILURES):
                raise RelayUnavailableError(hint=_reason(error)) from error
            raise
        return link

    return connect


def _client(url: RedisUrl) -> Redis:
    secure: dict[str, Any] = {}
    if url.tls:
        secure = {
            "ssl": True,
            "ssl_cert_reqs": "required" if url.verified else "none",
            "ssl_check_hostname": url.verified,
            **url.files,
        }
    return Redis(
        host=url.host,
        port=url.port,
        username=url.username,
        password=url.password,
        socket_timeout=_ANSWER,
        socket_connect_timeout=_ANSWER,
        # Who uses the connection decides when to make a new one, and shows that it works.
        retry=Retry(NoBackoff(), 0),
        max_connections=2,
        protocol=2,  # the older one does all that is needed, on every server
        driver_info=None,  # no command that an access list would have to allow
        **secure,
    )


def _reason(error: BaseException) -> str:
    """Return why something failed, as a part of a line."""
    if isinstance(error, AuthenticationError | AuthorizationError):
        return "it refused the user or the password"
    if isinstance(error, NoPermissionError):
        return "the user lacks a right to the channel"
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return "it does not answer"
    if isinstance(error, ssl.SSLError):
        return "no encrypted connection"
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return text or type(error).__name__
