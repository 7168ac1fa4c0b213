"""An issuer of tokens: real keys, behind a real socket."""

import asyncio
import base64
import json
import time
from contextlib import suppress
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from support.ports import reserve_port

AUDIENCE = "chat"
ISSUER = "https://issuer.example/"

ALGORITHMS = {"rsa": "RS256", "rsa2": "RS256", "weak": "RS256", "ec": "ES256", "ed": "EdDSA"}


@cache
def private_key(name: str) -> Any:
    """Return the key of that name: of the kind that it begins with."""
    if name.startswith("ec"):
        return ec.generate_private_key(ec.SECP256R1())
    if name.startswith("ed"):
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 1024 if name.startswith("weak") else 2048)


def public_jwk(name: str, **members: Any) -> dict[str, Any]:
    """Return the public half, as an issuer publishes it."""
    algorithm = get_default_algorithms()[ALGORITHMS[name]]
    jwk = algorithm.to_jwk(private_key(name).public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return jwk | {"kid": name, "use": "sig"} | members


def encoded(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(**changed: Any) -> dict[str, Any]:
    """Return good claims, with some changed; those set to `...` are left out."""
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "tenant": "acme",
        "iat": now,
        "exp": now + 300,
    }
    return {name: value for name, value in (good | changed).items() if value is not ...}


def token(key: str = "rsa", header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Return a token with good claims, with some changed or, by `...`, left out."""
    return sign(key, header or {}, json.dumps(claims_of(**claims)).encode())


def sign(key: str, header: dict[str, Any], payload: bytes) -> str:
    """Return any payload below any header, properly signed."""
    algorithm = get_default_algorithms()[ALGORITHMS[key]]
    whole = {"typ": "JWT", "alg": ALGORITHMS[key], "kid": key} | header
    head = json.dumps({name: value for name, value in whole.items() if value is not ...})
    signed = f"{encoded(head.encode())}.{encoded(payload)}"
    signature: bytes = algorithm.sign(signed.encode(), private_key(key))
    return f"{signed}.{encoded(signature)}"


class Issuer:
    """Publishes keys on 127.0.0.1, counts who asks, and can be gone.

    While its `gate` is cleared, it takes requests and does not answer.
    """

    def __init__(self) -> None:
        self.publish("rsa", "ec", "ed")
        self.status = "200 OK"
        self.headers = ""
        self.gate = asyncio.Event()
        self.gate.set()
        self.fetches = 0
        self._server: asyncio.Server | None = None
        self._port = reserve_port()

    @property
    def url(self) -> str:
        """Where the keys are."""
        return f"http://127.0.0.1:{self._port}/keys"

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a server that takes this issuer's tokens only."""
        return {
            "auth.mode": "jwt",
            "auth.issuer": ISSUER,
            "auth.audience": AUDIENCE,
            "auth.jwks_url": self.url,
        }

    def publish(self, *names: str, **members: Any) -> None:
        """Replace the keys."""
        self.answer({"keys": [public_jwk(name, **members) for name in names]})

    def answer(self, document: object) -> None:
        """Replace the document."""
        self.body = document if isinstance(document, bytes) else json.dumps(document).encode()

    async def start(self) -> None:
        """Be there; after `stop`, at the same address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def stop(self) -> None:
        """Be gone."""
        self.gate.set()
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self.fetches += 1
            await self.gate.wait()
            head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\n{self.headers}"
            writer.write(head.encode() + b"Connection: close\r\n\r\n" + self.body)
            await writer.drain()
        writer.close()
