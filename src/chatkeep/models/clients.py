"""Where models answer: for each endpoint one pool of connections, one breaker and one probe."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx2
import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from chatkeep.errors import ModelError, SettingsError
from chatkeep.loopback import is_loopback
from chatkeep.models.breaker import Breaker
from chatkeep.models.errors import FOREIGN_ERRORS, translate
from chatkeep.models.http2 import available
from chatkeep.models.transport import Transport

_CONNECT_SECONDS = 5.0
_PROBE_SECONDS = 10.0
_FRESH_SECONDS = 30.0
"""How long what a probe said is taken for true, for those who ask for the state."""

# Idle connections end before those who forward them commonly end them, which is after a minute.
_POOL = httpx2.Limits(max_connections=1_000, max_keepalive_connections=100, keepalive_expiry=30.0)


@dataclass(frozen=True, slots=True)
class Address:
    """How an endpoint is reached.

    Attributes:
        base_url: Its OpenAI-compatible API.
        key: Its key. Servers without keys ignore the header; the client insists on sending one.
        headers: Further headers of every request.
        ca_file: The only authorities that are trusted; None: the system's.
        proxy: Instead of the environment's.
        http2: Whether HTTP/2 is spoken where it is offered.
        named: What stands in messages: the setting that names it.
    """

    base_url: str
    key: str = field(default="none", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)
    http2: bool = False
    named: str = "models"

    @property
    def place(self) -> str:
        """Host and port, without the password that a URL may hold."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]


class Endpoint:
    """One address, for all models that answer there.

    Args:
        address: How it is reached.
        hint: What an operator should look at when it fails.

    Attributes:
        client: The connections.
        hint: As given.
        breaker: Watches its calls.
    """

    def __init__(self, address: Address, hint: str) -> None:
        self.client = open_client(address)
        self.hint = hint
        self.breaker = Breaker(address.place, hint)
        self._asked: asyncio.Task[bool] | None = None
        self._answered = -_FRESH_SECONDS

    async def probe(self) -> None:
        """Ask for the list of models, which every provider gives to whom it would answer.

        Raises:
            ModelError: It does not answer, or not to us.
        """
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await self.client.models.list()
        except openai.NotFoundError:
            return  # no list here, but somebody is
        except FOREIGN_ERRORS as error:
            translated = translate(error, started=False)
            translated.hint = self.hint
            raise translated from error

    async def works(self) -> bool:
        """Whether it answers, as far as is known: nobody who asks often makes it be asked often."""
        if self.breaker.state != "closed":
            return False
        if self._asked is None or time.monotonic() - self._answered > _FRESH_SECONDS:
            self._answered = time.monotonic()
            self._asked = asyncio.create_task(self._probe_once(), name="probe")
        # Who gives up does not stop the probe: others wait for it, or soon will.
        return await asyncio.shield(self._asked)

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
        if self._asked is not None:
            self._asked.cancel()
            with suppress(asyncio.CancelledError):
                await self._asked
            self._asked = None
        await self.client.close()

    async def _probe_once(self) -> bool:
        try:
            await self.probe()
        except ModelError:
            return False
        return True


def open_client(address: Address) -> AsyncOpenAI:
    """Return the pooled client of an address; nothing is contacted.

    Raises:
        SettingsError: Its proxy or its authorities cannot be used, or HTTP/2 cannot be spoken.
    """
    if address.http2 and not available():
        raise SettingsError(f"{address.named}.http2: it needs h2; install chatkeep[http2]")
    # A proxy of the environment has no way to this machine.
    local = is_loopback(urlsplit(address.base_url).hostname or "")
    verify = httpx2.create_ssl_context(verify=_authorities(address), trust_env=not local)
    through = address.http2 or address.proxy is not None or not (local or not getproxies())
    try:
        http_client = DefaultAsyncHttpxClient(
            # Deadlines are set on the whole stream, not on a read.
            timeout=httpx2.Timeout(None, connect=_CONNECT_SECONDS),
            limits=_POOL,
            trust_env=not local,
            proxy=address.proxy,
            verify=verify,
            http2=address.http2,
            transport=None if through else Transport(verify, _POOL, _CONNECT_SECONDS),
        )
    except (ImportError, ValueError) as error:
        if address.proxy is not None:
            raise SettingsError(
                f"{address.named}.proxy: it cannot be used; set an http:// or https:// proxy"
            ) from error
        raise SettingsError(
            "The proxy that ALL_PROXY or HTTPS_PROXY names cannot be used (only http:// and "
            "https:// ones can); correct it, or set NO_PROXY=*"
        ) from error
    return AsyncOpenAI(
        base_url=address.base_url,
        api_key=address.key,
        max_retries=0,  # `retrying` is the one place for them
        default_headers=address.headers,
        http_client=http_client,
    )


def _authorities(address: Address) -> ssl.SSLContext | bool:
    if address.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=address.ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or "not a PEM file"
        raise SettingsError(
            f"{address.named}.ca_file: it cannot be used ({reason}); "
            "set a file with certificates in PEM"
        ) from error
