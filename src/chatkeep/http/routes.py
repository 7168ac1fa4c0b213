"""`POST /chatkit`: the whole protocol."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from chatkit.types import ThreadsDeleteReq, is_streaming_req
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chatkeep.context import RequestContext
from chatkeep.errors import UnauthenticatedError
from chatkeep.http.problems import HTTPProblem
from chatkeep.http.stream import NDJSON, TurnResponse
from chatkeep.ports import Authenticator, Credentials, Identity
from chatkeep.protocol.preflight import Preflight
from chatkeep.protocol.server import ChatkeepServer
from chatkeep.protocol.wire import parse_request
from chatkeep.turns.engine import TurnEngine

_BODY_SECONDS = 30.0


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

    server: ChatkeepServer
    preflight: Preflight
    engine: TurnEngine
    authenticators: Sequence[Authenticator]
    max_body_bytes: int
    public_url: str | None = None

    async def __call__(self, request: Request) -> Response:
        """Answer one request: JSON at once, or the stream of a turn."""
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
        await self.preflight.check(parsed, context)
        headers = {"Set-Cookie": identity.set_cookie} if identity.set_cookie else {}
        owner = (identity.principal.tenant, identity.principal.user)
        if not is_streaming_req(parsed):
            if isinstance(parsed, ThreadsDeleteReq):
                # Else its answer would go on, paid for and with nowhere to go.
                await self.engine.stop((*owner, parsed.params.thread_id))
            answer = await self.server.answer(parsed, context)
            headers["Cache-Control"] = "no-store"
            return Response(answer, headers=headers, media_type="application/json")
        thread_id, events = self.server.stream(parsed, context)
        await self.engine.settled((*owner, thread_id))
        turn = self.engine.start((*owner, thread_id), events)
        await turn.begun()  # a failure until here is a problem document, not a broken stream
        return TurnResponse(
            turn,
            ndjson=_wants_ndjson(request),
            headers=headers,
            seen=lambda: self.server.mark_read(thread_id, context),
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


def _wants_ndjson(request: Request) -> bool:
    return NDJSON in request.headers.get("accept", "").lower()


def _first_language(header: str | None) -> str | None:
    language = (header or "").split(",", 1)[0].split(";", 1)[0].strip()
    return language or None
