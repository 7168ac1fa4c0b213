"""What every request passes: an id, a log line, checks of where it comes from, safe headers.

Plain ASGI, as `BaseHTTPMiddleware` gets between a stream and its client.
"""

import re
import time
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import quote

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatkeep.http.problems import HTTPProblem, problem_of
from chatkeep.ids import new_id
from chatkeep.loopback import is_loopback, is_other_machine
from chatkeep.telemetry.logging import describe

_log = structlog.get_logger("chatkeep.access")

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST = re.compile(r"([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]*)?", re.IGNORECASE)
_SECRET = re.compile(r"(/share/)[^/]+")
_QUIET_PATHS = ("/livez", "/readyz", "/health", "/assets/")

STRAIGHT = "chatkeep.send"
"""In the scope: what sends the parts of a long body, of which nothing on the way takes notice."""

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": API_POLICY,
}


class RequestMiddleware:
    """Outermost: gives a request its id, logs it, and answers what nobody else did."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        scope[STRAIGHT] = send
        status = 0
        started = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:  # the last resort: recorded, and answered as a problem
            if status:
                raise  # the response has begun: the server closes the connection
            _log.error("request failed", request_id=request_id, **describe(error))
            await problem_of(error, request_id)(scope, receive, send_with_headers)
        finally:
            log = _log.debug if scope["path"].startswith(_QUIET_PATHS) else _log.info
            seconds = round(time.perf_counter() - started, 4)
            log(
                "request",
                method=scope["method"],
                path=_loggable(scope["path"]),
                status=int(status),
                seconds=seconds,
                request_id=request_id,
            )


def _loggable(path: str) -> str:
    """Return a path without what must not be read in a log."""
    # The secret of a share is all that it takes to read it. Control characters would reach a
    # terminal.
    return quote(_SECRET.sub(r"\1-", path))


class OriginMiddleware:
    """Refuses requests that another site makes in a user's name.

    Two attacks on a server that knows its users by cookie: another site's page that posts to it
    (told by `Origin`), and a foreign name that resolves to this machine (told by `Host`; only
    checked when the server is meant for this machine alone).
    """

    def __init__(self, app: ASGIApp, *, origins: Sequence[str], loopback_only: bool) -> None:
        self._app = app
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            host = headers.get("host", "")
            if self._loopback_only and not _from_here(scope, host):
                await self._refuse(
                    "This server answers to localhost and 127.0.0.1 only.", scope, receive, send
                )
                return
            origin = headers.get("origin")
            if origin is not None and scope["method"] not in _SAFE_METHODS:
                own = host != "" and origin.lower().partition("://")[2] == host.lower()
                if not own and origin.lower() not in self._origins:
                    await self._refuse(
                        "This site may not call; add its origin to CORS_ORIGINS.",
                        scope,
                        receive,
                        send,
                    )
                    return
        await self._app(scope, receive, send)

    async def _refuse(self, detail: str, scope: Scope, receive: Receive, send: Send) -> None:
        error = HTTPProblem(HTTPStatus.FORBIDDEN, detail)
        await problem_of(error, scope["state"]["request_id"])(scope, receive, send)


def _from_here(scope: Scope, host: str) -> bool:
    """Whether both ends are this machine, however the application was made to listen."""
    client = scope.get("client")
    return is_loopback(_name(host)) and not (client and is_other_machine(client[0]))


def _name(host: str) -> str:
    """Return the name in a `Host` header, or nothing when it is not one."""
    match = _HOST.fullmatch(host)
    return match[1].lower() if match else ""
