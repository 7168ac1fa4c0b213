"""`POST /chatkit`: the whole protocol."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from chatkit.types import ThreadsDeleteReq
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chatkeep.context import RequestContext
from chatkeep.errors import (
    InvalidRequestError,
    KeyReusedError,
    ShuttingDownError,
    UnauthenticatedError,
)
from chatkeep.http.problems import HTTPProblem
from chatkeep.http.stream import NDJSON, EventsResponse, Framing
from chatkeep.ports import Authenticator, Credentials, Identity, Store, Turn
from chatkeep.protocol.answers import Answers
from chatkeep.protocol.hosting import Host
from chatkeep.protocol.orders import Terms, digest_of
from chatkeep.protocol.own_requests import AnyStreamingReq, is_streaming
from chatkeep.protocol.preflight import Preflight
from chatkeep.protocol.wire import parse_request
from chatkeep.turns.admission import Admission
from chatkeep.turns.engine import TurnEngine
from chatkeep.turns.reading import TurnReader

_BODY_SECONDS = 30.0
_MAX_KEY = 255


async def identify(request: Request, authenticators: Sequence[Authenticator]) -> Identity:
    """Return who is asking.

    Raises:
        UnauthenticatedError: No authenticator knows.
    """
    # A header that comes twice is a list (RFC 9110, 5.3), so that no two readers of it can each
    # see another token.
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return await _ask(authenticators, Credentials(headers, request.cookies))


async def visitor_cookie(request: Request, authenticators: Sequence[Authenticator]) -> str | None:
    """Return the cookie that the page gives to a visitor, if there is one to give.

    The page is for everybody, and asked for without a token.
    """
    try:
        return (await _ask(authenticators, Credentials({}, request.cookies))).set_cookie
    except UnauthenticatedError:
        return None


async def _ask(authenticators: Sequence[Authenticator], credentials: Credentials) -> Identity:
    for authenticator in authenticators:
        if identity := await authenticator.authenticate(credentials):
            return identity
    raise UnauthenticatedError


def base_url(request: Request, public_url: str | None) -> str:
    """Return where the client reaches this server: as told, or else as it came here.

    Not `request.base_url`, which leaves out where this application is mounted.
    """
    if public_url:
        return public_url
    url = request.url
    return f"{url.scheme}://{url.netloc}{request.scope.get('root_path', '').rstrip('/')}"


@dataclass(frozen=True, slots=True)
class ChatKitEndpoint:
    """Answers ChatKit requests."""

    host: Host
    answers: Answers
    preflight: Preflight
    engine: TurnEngine
    admission: Admission
    store: Store
    authenticators: Sequence[Authenticator]
    max_body_bytes: int
    public_url: str | None = None
    leaving_cancels: bool = False
    queues: bool = False

    async def __call__(self, request: Request) -> Response:
        """Answer one request: JSON at once, or the events of a turn."""
        identity = await identify(request, self.authenticators)
        body = await self._read(request)
        parsed = parse_request(body)
        context = RequestContext(
            principal=identity.principal,
            request_id=request.state.request_id,
            locale=_first_language(request.headers.get("accept-language")),
            metadata=parsed.metadata,
            base_url=base_url(request, self.public_url),
        )
        headers = {"Set-Cookie": identity.set_cookie} if identity.set_cookie else {}
        if is_streaming(parsed):
            turn = await self._turn(request, parsed, body, context)
            return await self._stream(request, turn, context, headers)
        await self.preflight.check(parsed, context)
        if isinstance(parsed, ThreadsDeleteReq):
            # Else its answer would go on, paid for and with nowhere to go.
            await self.engine.stop_thread(parsed.params.thread_id, context)
        answer = await self.answers.answer(parsed, context)
        headers["Cache-Control"] = "no-store"
        return Response(answer, headers=headers, media_type="application/json")

    async def _turn(
        self, request: Request, parsed: AnyStreamingReq, body: bytes, context: RequestContext
    ) -> Turn:
        """Begin a turn, or return the one that the request's idempotency key began."""
        key = _key_of(request)
        if key is not None and (turn := await self.store.find_turn(key, context)) is not None:
            if turn.digest != digest_of(body):
                raise KeyReusedError
            return turn
        if self.engine.draining.is_set():
            raise ShuttingDownError
        async with self.admission.starting():
            await self.preflight.check(parsed, context)
            terms = Terms(self.engine.holder, self.engine.lease, key, self.queues)
            ordered = await self.host.order(parsed, body, context, terms)
            opening = [self.host.encode(event) for event in ordered.opening]
            return await self.engine.begin(ordered.order, opening, context, ordered.given)

    async def _stream(
        self, request: Request, turn: Turn, context: RequestContext, headers: dict[str, str]
    ) -> Response:
        framing = _framing(request)
        reader = TurnReader(self.engine, self.store, turn.id, 0, context)
        # Whoever reads numbers can come back, and stops a turn by saying so.
        first = await reader.next(0) if turn.ended_at is not None else None
        leaves = self.leaving_cancels and framing is not Framing.NUMBERED
        return EventsResponse(
            reader,
            framing,
            first=first,
            present=lambda json: self.host.present(json, context),
            headers={**headers, "X-Chatkeep-Turn": turn.id},
            seen=lambda: self.answers.mark_read(turn.thread_id, context),
            left=(lambda: self.engine.leave(turn.id, context)) if leaves else None,
        )

    async def _read(self, request: Request) -> bytes:
        content_type = request.headers.get("content-type", "")
        if content_type.split(";", 1)[0].strip().lower() != "application/json":
            raise HTTPProblem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the request as application/json."
            )
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self.max_body_bytes:
                        raise HTTPProblem(
                            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                            f"A request may have {self.max_body_bytes} bytes.",
                        )
        except TimeoutError:
            detail = "The body of the request did not arrive in time."
            raise HTTPProblem(HTTPStatus.REQUEST_TIMEOUT, detail) from None
        except ClientDisconnect:
            detail = "The client left before its request was complete."
            raise HTTPProblem(HTTPStatus.BAD_REQUEST, detail) from None
        return bytes(body)


def _framing(request: Request) -> Framing:
    if NDJSON in request.headers.get("accept", "").lower():
        return Framing.NDJSON
    if request.headers.get("x-chatkeep-events", "").strip().lower() == "numbered":
        return Framing.NUMBERED
    return Framing.SSE


def _key_of(request: Request) -> str | None:
    """Return the request's idempotency key.

    Raises:
        InvalidRequestError: It cannot be one.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= _MAX_KEY or not key.isascii() or not key.isprintable():
        raise InvalidRequestError(f"Idempotency-Key: 1 to {_MAX_KEY} printable ASCII characters")
    return key


def _first_language(header: str | None) -> str | None:
    language = (header or "").split(",", 1)[0].split(";", 1)[0].strip()
    return language or None
