"""The keys of a token issuer: fetched when they are needed, kept, and asked for again.

What happens when the issuer is gone: keys that were fetched in the last 24 hours go on to be used;
without such, `IssuerUnavailableError`. Nobody can make us ask the issuer more than once in 30
seconds by sending tokens with made-up key ids.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx2
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from jwt import PyJWK, PyJWTError
from jwt.types import JWKDict

from chatkeep.errors import IssuerUnavailableError
from chatkeep.loopback import is_loopback

_log = structlog.get_logger(__name__)

# Seconds.
_DEADLINE = 5.0  # of one fetch
_FRESH = 10 * 60.0  # keys younger than this are used without a thought
_OVERDUE = 2 * _FRESH  # older than this, a request waits for newer ones: a key may be withdrawn
_STALE = 24 * 3600.0  # older than this, keys are not used any more
_AGAIN = 30.0  # between two fetches for unknown key ids, and between two tries in the background
_COLD_AGAIN = 1.0  # between two tries without any keys

_MAX_BYTES = 256 * 1024

_FAMILIES: Mapping[tuple[object, object], str] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("EC", "P-384"): "ES384",
    ("EC", "P-521"): "ES512",
    ("OKP", "Ed25519"): "EdDSA",
    ("OKP", "Ed448"): "EdDSA",
}
"""By `kty` and `crv`, an algorithm of the library that reads such a key."""

_FETCH_ERRORS = (
    httpx2.HTTPError,
    httpx2.StreamError,
    httpx2.InvalidURL,
    OSError,
    TimeoutError,
    ImportError,  # a proxy of the environment that needs a library
    ValueError,
    RecursionError,
)


class _UnusableError(ValueError):
    """The answer is not a set of keys; the message is for the operator."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key.

    Attributes:
        public: The key, as the library takes it.
        kind: Its `kty`.
        curve: Its `crv`; None for RSA.
        algorithm: The only one it is for, if the issuer says so.
    """

    public: Any
    kind: str
    curve: str | None
    algorithm: str | None


class IssuerKeys:
    """The keys behind a JWKS URL, by key id."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._keys: Mapping[str, Sequence[Key]] = {}
        self._fetched = -math.inf  # when the keys came
        self._tried = -math.inf  # when they were last asked for
        self._missed = -math.inf  # when they were last asked for an unknown key id
        self._failure: str | None = None  # of the last try
        self._task: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> Sequence[Key]:
        """Return the issuer's keys with this id; none when the issuer has none.

        Raises:
            IssuerUnavailableError: It cannot be told.
        """
        fetched = self._fetched
        await self._keep_fresh()
        if key_id in self._keys:
            return self._keys[key_id]
        now = self._clock()
        if self._fetched != fetched:
            self._missed = now  # the set is as new as can be
        elif self._task:
            await self._refresh()
        elif now - self._missed >= _AGAIN:
            self._missed = now
            await self._refresh()
        if key_id not in self._keys and self._failure:
            raise self._unavailable()  # it may be a new key
        return self._keys.get(key_id, ())

    async def probe(self) -> None:
        """Ask the issuer now.

        Raises:
            IssuerUnavailableError: It has no keys for us; the hint says why.
        """
        await self._refresh()
        if self._failure or not self._keys:
            raise self._unavailable()

    async def aclose(self) -> None:
        """Give up a fetch that is under way. Idempotent."""
        if task := self._task:
            task.cancel()
            await asyncio.wait([task])

    async def _keep_fresh(self) -> None:
        now = self._clock()
        age = now - self._fetched
        if age >= _STALE:
            if self._task or now - self._tried >= _COLD_AGAIN:
                await self._refresh()
            if self._clock() - self._fetched >= _STALE:
                self._keys = {}
                raise self._unavailable()
        elif age >= _FRESH:
            if now - self._tried >= _AGAIN:
                self._start()
            # While the issuer is gone, nobody waits for it.
            if age >= _OVERDUE and self._task and not self._failure:
                await self._refresh()

    async def _refresh(self) -> None:
        # Shielded: others wait for the same fetch, and this request's client may leave.
        await asyncio.shield(self._start())

    def _start(self) -> asyncio.Task[None]:
        """Return the one fetch that is under way."""
        if self._task is None:
            self._tried = self._clock()
            self._task = asyncio.create_task(self._fetch())
            self._task.add_done_callback(self._ended)
        return self._task

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._task = None

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_DEADLINE):
                keys = _read(await self._download())
        except _FETCH_ERRORS as error:
            # Messages of libraries may quote what they were given.
            ours = isinstance(error, _UnusableError)
            self._failure = str(error) if ours else f"it did not answer ({type(error).__name__})"
            _log.warning("no keys from the token issuer", reason=self._failure)
        else:
            if not keys:
                _log.warning("the token issuer has no key for signatures")
            self._keys, self._fetched, self._failure = keys, self._clock(), None

    async def _download(self) -> bytes:
        local = is_loopback(urlsplit(self._url).hostname or "")
        # Uncompressed, as a small body may become a large one. Redirects could lead anywhere.
        headers = {
            "Accept": "application/jwk-set+json, application/json",
            "Accept-Encoding": "identity",
        }
        async with (
            # A proxy of the environment has no way to this machine.
            httpx2.AsyncClient(trust_env=not local, follow_redirects=False) as client,
            client.stream("GET", self._url, headers=headers, timeout=_DEADLINE) as response,
        ):
            if response.status_code != HTTPStatus.OK:
                moved = "; the setting must be the final address" if response.is_redirect else ""
                raise _UnusableError(f"it answered with status {response.status_code}{moved}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise _UnusableError("its answer is compressed")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise _UnusableError(f"its answer is longer than {_MAX_BYTES} bytes")
        return bytes(body)

    def _unavailable(self) -> IssuerUnavailableError:
        error = IssuerUnavailableError()
        reason = self._failure or "there is no key for signatures in its answer"
        error.hint = f"The issuer's keys cannot be had: {reason}."
        return error


def _read(body: bytes) -> dict[str, list[Key]]:
    """Return the keys for signatures of a JWKS document, by id; others are passed over."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _UnusableError("its answer is not JSON") from error
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise _UnusableError("its answer is not a JWKS document")
    keys: dict[str, list[Key]] = {}
    for entry in entries:
        if isinstance(entry, dict) and (key := _key(entry)):
            keys.setdefault(entry["kid"], []).append(key)
    return keys


def _key(entry: JWKDict) -> Key | None:
    """Return the key, or None when it is of no use here."""
    kind, curve, algorithm = entry.get("kty"), entry.get("crv"), entry.get("alg")
    operations = entry.get("key_ops", ["verify"])
    texts = isinstance(kind, str) and isinstance(curve, str | None)
    library_name = _FAMILIES.get((kind, curve)) if texts else None
    for_signatures = (
        entry.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and isinstance(entry.get("kid"), str)
    )
    if library_name is None or not for_signatures:
        return None
    if "d" in entry:
        # Whoever can read the document could sign.
        _log.warning("the token issuer publishes a private key, which is ignored")
        return None
    try:
        parsed = PyJWK(entry, library_name)
        weak = parsed.Algorithm.check_key_length(parsed.key)
    except (PyJWTError, UnsupportedAlgorithm, TypeError, ValueError, LookupError):
        weak = "unreadable"
    if weak:
        _log.warning("a key of the token issuer is too short or unreadable, and ignored")
        return None
    return Key(parsed.key, str(kind), curve, algorithm if isinstance(algorithm, str) else None)
