"""What every request passes: ids, log lines, checks of where it comes from, safe headers."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
import structlog
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatkeep.http.middleware import OriginMiddleware, RequestMiddleware
from chatkeep.telemetry.logging import configure

SECRET = "very-secret-4711"
LOCAL = "localhost:8000"


@dataclass
class Answer:
    """What was sent back."""

    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The status."""
        status: int = self.messages[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        """The headers, in lower case."""
        pairs = self.messages[0]["headers"]
        return {name.decode().lower(): value.decode() for name, value in pairs}

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(b"".join(m.get("body", b"") for m in self.messages[1:]))


async def call(
    app: ASGIApp,
    method: str = "GET",
    path: str = "/",
    client: str = "127.0.0.1",
    answer: Answer | None = None,
    **headers: str,
) -> Answer:
    """Make a request with exactly these headers."""
    answer = answer or Answer()
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "client": (client, 50000),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        answer.messages.append(message)

    await app(scope, receive, send)
    return answer


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that says yes, and shows what it knows."""
    await JSONResponse(scope["state"])(scope, receive, send)


def guarded(*origins: str, loopback_only: bool = True) -> ASGIApp:
    """The application behind both checks."""
    return RequestMiddleware(OriginMiddleware(fine, origins=origins, loopback_only=loopback_only))


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What is logged, as JSON, from debug on."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        configure("json", "debug")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


# --- Host ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8000",
        "localhost:1",
        "127.0.0.1",
        "127.0.0.1:8000",
        "127.0.0.53",
        "[::1]",
        "[::1]:8000",
        "localhost:",
    ],
)
async def test_this_machine_may_be_called_by_its_names(host: str) -> None:
    """With a port or without, in any case."""
    assert (await call(guarded(), host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "localhost.evil.com",
        "127.0.0.1.evil.com",
        "evil.com:8000",
        "localhost.",
        "",
        " ",
        "localhost@evil.com",
        "evil.com@localhost",
        "localhost:8000@evil.com",
        "localhost#@evil.com",
        "evil.com#localhost",
        "localhost/evil",
        "localhost\\evil",
        "evil.com?localhost",
        "[::1",
        "::1",
        "[::1]evil",
        "[::1]:8000:1",
        "localhost:80:80",
        "localhost:abc",
        "192.168.0.1",
        "*",
        "0.0.0.0",
        "[::]",
        "2130706433",
        "127.1",
        "localhost, evil.com",
        "é",
        "[localhost]x",
        "localhost\tevil.com",
        "%6cocalhost",
        "http://localhost",
        "[::ffff:8.8.8.8]",
    ],
)
async def test_any_other_name_is_refused(host: str) -> None:
    """A foreign name that resolves to this machine (DNS rebinding), and everything odd."""
    answer = await call(guarded(), host=host)
    assert answer.status == 403
    assert answer.json["type"] == "urn:chatkeep:problem:forbidden"


async def test_no_name_at_all_is_refused() -> None:
    """HTTP/1.0 without a Host header."""
    assert (await call(guarded())).status == 403


async def test_another_machine_is_refused() -> None:
    """However the application was made to listen: who is not here does not get in."""
    assert (await call(guarded(), client="192.168.0.7", host=LOCAL)).status == 403
    assert (await call(guarded(), client="::1", host=LOCAL)).status == 200
    assert (await call(guarded(), client="testclient", host=LOCAL)).status == 200


async def test_a_public_server_has_any_name() -> None:
    """The check is for servers that are meant for this machine alone."""
    app = guarded(loopback_only=False)
    assert (await call(app, client="192.168.0.7", host="chat.example")).status == 200


# --- Origin -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.com",
        "null",
        "",
        "http://localhost:9000",
        "http://localhost",
        "file://",
        "http://127.0.0.1:8000",
        "http://localhost:8000.evil.com",
        "http://evil.com/localhost:8000",
        "http://localhost:8000@evil.com",
        "http://evil.com@localhost:8000",
        "http://[",
        "localhost",
        "localhost:8000",
        "http://localhost:8000/",
        "http://localhost:8000, http://evil.com",
        "https://a.example.evil.com",
        "http://a.example",
        "https://a.example:444",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_another_site_may_not_post(origin: str, method: str) -> None:
    """A page of another origin, a sandboxed frame, a file: refused before anything is read."""
    app = guarded("https://a.example")
    answer = await call(app, method, host=LOCAL, origin=origin)
    assert answer.status == 403
    assert "CORS_ORIGINS" in answer.json["detail"]


@pytest.mark.parametrize("loopback_only", [True, False])
async def test_an_opaque_origin_is_not_an_empty_host(loopback_only: bool) -> None:
    """`Origin: null` does not match a request without a name."""
    app = guarded(loopback_only=loopback_only)
    assert (await call(app, "POST", host="", origin="null")).status == 403
    assert (await call(app, "POST", origin="")).status == 403


@pytest.mark.parametrize(
    "origin", ["http://localhost:8000", "https://localhost:8000", "HTTP://LOCALHOST:8000"]
)
async def test_the_own_page_may_post(origin: str) -> None:
    """The page of this server, also behind a proxy that speaks TLS."""
    assert (await call(guarded(), "POST", host=LOCAL, origin=origin)).status == 200


@pytest.mark.parametrize("origin", ["https://a.example", "https://A.EXAMPLE", "http://b:81"])
async def test_a_listed_site_may_post(origin: str) -> None:
    """Origins of CORS_ORIGINS are compared whole, without case or a final slash in the list."""
    app = guarded("https://A.example/", "http://b:81")
    assert (await call(app, "POST", host=LOCAL, origin=origin)).status == 200


async def test_programs_send_no_origin() -> None:
    """Curl and servers may post; reading is not changing, so any site's link may be followed."""
    assert (await call(guarded(), "POST", host=LOCAL)).status == 200
    for method in ("GET", "HEAD", "OPTIONS"):
        assert (await call(guarded(), method, host=LOCAL, origin="http://evil.com")).status == 200


async def test_sockets_other_than_http_pass() -> None:
    """A lifespan or web socket has neither status nor headers here."""
    seen = []

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        seen.append(scope["type"])

    checked = RequestMiddleware(OriginMiddleware(app, origins=[], loopback_only=True))
    await checked({"type": "lifespan"}, _never, _never)  # type: ignore[arg-type]
    assert seen == ["lifespan"]


async def _never(*_: object) -> None:
    raise AssertionError("nothing is received or sent")


# --- ids, headers, failures ---------------------------------------------------------------------


async def test_every_request_has_an_id() -> None:
    """The same in the header and for the application; another one for each request."""
    first, second = [await call(guarded(), host=LOCAL) for _ in range(2)]
    assert first.headers["x-request-id"] == first.json["request_id"]
    assert first.headers["x-request-id"].startswith("req_")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_a_refusal_has_the_id_and_headers_too() -> None:
    """What is refused early can be found in the log like everything else."""
    answer = await call(guarded(), host="evil.com")
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_a_client_cannot_choose_the_id() -> None:
    """An id from outside would let a caller write into somebody else's log lines."""
    answer = await call(guarded(), host=LOCAL, **{"x-request-id": "mine"})
    assert answer.headers["x-request-id"] != "mine"


async def test_every_response_has_safe_headers() -> None:
    """Unless the response has its own policy."""
    headers = (await call(guarded(), host=LOCAL)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        own = {"Content-Security-Policy": "default-src 'self'", "X-Request-Id": "forged"}
        await PlainTextResponse("", headers=own)(scope, receive, send)

    headers = (await call(RequestMiddleware(page))).headers
    assert headers["content-security-policy"] == "default-src 'self'"
    assert headers["x-request-id"].startswith("req_")


async def test_an_unexpected_error_tells_nothing(
    logs: Callable[[], list[dict[str, Any]]],
) -> None:
    """500 with an id; the log has the type and the place, neither has the text."""

    async def broken(_: Scope, __: Receive, ___: Send) -> None:
        raise LookupError(SECRET)

    answer = await call(RequestMiddleware(broken))
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert SECRET not in json.dumps(answer.json)
    failed, request = logs()
    assert (failed["error"], failed["request_id"]) == ("LookupError", answer.json["request_id"])
    assert "broken" in failed["raised"]
    assert request["status"] == 500
    assert SECRET not in json.dumps(logs())


async def test_an_error_behind_the_start_breaks_off() -> None:
    """A response that has begun cannot become another: the server must cut the connection."""

    async def breaking(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError(SECRET)

    answer = Answer()
    with pytest.raises(LookupError):
        await call(RequestMiddleware(breaking), answer=answer)
    assert [message["type"] for message in answer.messages] == [
        "http.response.start",
        "http.response.body",
    ]


async def test_a_cancelled_request_is_logged_and_passes(
    logs: Callable[[], list[dict[str, Any]]],
) -> None:
    """Cancellation is no error of the application, and leaves its line."""

    async def waiting(_: Scope, __: Receive, ___: Send) -> None:
        await asyncio.sleep(60)

    task = asyncio.create_task(call(RequestMiddleware(waiting)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [line["status"] for line in logs() if line["event"] == "request"] == [0]


async def test_a_request_is_one_line(logs: Callable[[], list[dict[str, Any]]]) -> None:
    """Method, path, status, time and id; not the query, which may hold a signature."""
    answer = await call(guarded(), "POST", "/chatkit", host=LOCAL, cookie=SECRET)
    (line,) = logs()
    assert line["event"] == "request"
    assert (line["method"], line["path"], line["status"]) == ("POST", "/chatkit", 200)
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["seconds"] >= 0
    assert line["level"] == "info"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/assets/a.js"])
async def test_what_is_asked_all_the_time_is_quiet(
    logs: Callable[[], list[dict[str, Any]]], path: str
) -> None:
    """Probes and files are logged at debug only."""
    await call(guarded(), path=path, host=LOCAL)
    assert logs()[0]["level"] == "debug"


@pytest.mark.parametrize("path", ["/\x1b[2J", "/a\nfake line", "/\r", "/\x7f", "/\x9b2J", "/ü"])
async def test_a_path_cannot_forge_a_log_line(
    logs: Callable[[], list[dict[str, Any]]], path: str
) -> None:
    """Control characters of a decoded path reach no terminal and make no second line."""
    await call(guarded(), path=path, host=LOCAL)
    (line,) = logs()
    assert line["path"].isascii()
    assert line["path"].isprintable()


# --- the whole application ----------------------------------------------------------------------


async def test_logs_hold_no_conversation(
    start_server: Callable[..., Awaitable[Any]],
    connect: Callable[[Any], Any],
    logs: Callable[[], list[dict[str, Any]]],
) -> None:
    """Of a whole conversation, with a failure in it: no text, no cookie, no provider's words."""
    client = connect(await start_server())
    answer = await client.say(f"{SECRET} one")
    failed = await client.say(f"{SECRET} two !fail=500", answer.thread_id)
    assert failed.error is not None
    await client.http.post("/chatkit", content=f'{{"type": "{SECRET}"}}')
    await client.http.get(f"/?{SECRET}")
    lines = json.dumps(logs())
    assert '"request"' in lines
    assert "the model failed" in lines
    assert SECRET not in lines
    (cookie,) = client.http.cookies.values()
    assert cookie not in lines
    assert cookie.partition(".")[2] not in lines
    assert "scripted failure" not in lines


async def test_cors_for_listed_origins_only(
    start_server: Callable[..., Awaitable[Any]], connect: Callable[[Any], Any]
) -> None:
    """A listed site may call with cookies; to others the browser shows nothing."""
    server = await start_server(server__cors_origins="https://A.example/")
    http: httpx2.AsyncClient = connect(server).http
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-y"}
    for origin, allowed in (("https://a.example", True), ("https://evil.example", False)):
        headers = {"Origin": origin}
        preflight = await http.options("/chatkit", headers=headers | ask)
        simple: Response | httpx2.Response = await http.get("/livez", headers=headers)
        posted = await http.post("/chatkit", headers=headers, json={})
        assert (preflight.status_code == 200) is allowed
        for response in (preflight, simple):
            given = response.headers.get("access-control-allow-origin")
            assert given == (origin if allowed else None)
        assert posted.status_code == (400 if allowed else 403)
