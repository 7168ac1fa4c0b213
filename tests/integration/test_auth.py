"""Signing in by token, through a real socket: who sees what, and what strangers are told."""

import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from chatkeep import Chatkeep, load_settings
from chatkeep.cli.check import _probe
from chatkeep.errors import IssuerUnavailableError
from chatkeep.testing.client import ChatKitClient, ProblemResponse, user_input
from support.issuer import Issuer, token
from support.live import Connect, LiveServer, StartServer
from support.waiting import until

LIST = {"type": "threads.list", "params": {"limit": 10, "order": "desc"}}


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer with three keys."""
    running = Issuer()
    await running.start()
    yield running
    await running.stop()


@pytest_asyncio.fixture
async def server(start_server: StartServer, issuer: Issuer) -> LiveServer:
    """A server that takes the issuer's tokens only."""
    return await start_server(**issuer.settings)


def signed_in(client: ChatKitClient, **claims: Any) -> ChatKitClient:
    """Let a client send a token from now on."""
    client.http.headers["Authorization"] = f"Bearer {token(**claims)}"
    return client


async def ask(client: ChatKitClient, **headers: str) -> httpx2.Response:
    """Ask for the list of threads."""
    return await client.http.post("/chatkit", json=LIST, headers=headers)


async def furnish(client: ChatKitClient) -> dict[str, str]:
    """Start a thread, and return the ids of thread, question and answer."""
    answer = await client.say("my secret")
    question, said = await client.items(answer.thread_id)
    return {"T": answer.thread_id, "U": question["id"], "I": said["id"]}


OPERATIONS: dict[str, dict[str, Any]] = {
    "threads.get_by_id": {"thread_id": "T"},
    "threads.update": {"thread_id": "T", "title": "mine now"},
    "threads.delete": {"thread_id": "T"},
    "items.list": {"thread_id": "T", "limit": 10},
    "items.feedback": {"thread_id": "T", "item_ids": ["I"], "kind": "negative"},
    "threads.add_user_message": {"thread_id": "T", "input": user_input("and?")},
    "threads.retry_after_item": {"thread_id": "T", "item_id": "U"},
    "threads.add_client_tool_output": {"thread_id": "T", "result": {}},
}
"""Every operation on one thread."""


async def outcome(client: ChatKitClient, operation: str, ids: dict[str, str]) -> tuple[int, Any]:
    """Return status and problem document of an operation on what has these ids."""
    params = OPERATIONS[operation] | {
        name: [ids[each] for each in value] if isinstance(value, list) else ids[value]
        for name, value in OPERATIONS[operation].items()
        if name in ("thread_id", "item_id", "item_ids")
    }
    sent = {"type": operation, "params": params}
    response = await client.http.post("/chatkit", json=sent)
    document = {} if response.status_code == 200 else response.json()
    document.pop("request_id", None)
    return response.status_code, document


@pytest.mark.parametrize(
    "other",
    [
        {"sub": "bob"},
        {"tenant": "beta"},
        {"sub": "acme", "tenant": "alice"},
        {"sub": "Alice"},
        {"sub": "alice "},
        {"sub": "", "tenant": "acmealice"},
    ],
    ids=str,
)
async def test_threads_belong_to_user_and_tenant(
    server: LiveServer, connect: Connect, other: dict[str, str]
) -> None:
    """Another user, or the same name in another tenant, is told what of an unknown thread."""
    alice = signed_in(connect(server))
    stranger = signed_in(connect(server), **other)
    ids = await furnish(alice)
    before = await alice.items(ids["T"])

    for operation in OPERATIONS:
        foreign = await outcome(stranger, operation, ids)
        unknown = await outcome(stranger, operation, dict.fromkeys("TUI", "unknown"))
        assert foreign == unknown, operation
        if operation != "threads.delete":  # deleting nothing is a success
            assert foreign[0] in (401, 404), operation

    assert await alice.items(ids["T"]) == before
    listed = await alice.call("threads.list", limit=10)
    assert [thread["id"] for thread in listed["data"]] == [ids["T"]]
    if other.get("sub") != "":
        assert (await stranger.call("threads.list", limit=10))["data"] == []


async def test_every_operation_is_there_for_the_owner(server: LiveServer, connect: Connect) -> None:
    """What a stranger cannot do, the owner can: the walk above walks somewhere."""
    alice = signed_in(connect(server))
    refused = []
    for operation in OPERATIONS:
        status, _ = await outcome(alice, operation, await furnish(alice))
        if status != 200:
            refused.append((operation, status))
    assert refused == [("threads.add_client_tool_output", 409)]  # none was asked for


async def test_a_user_is_the_same_on_every_device(server: LiveServer, connect: Connect) -> None:
    """Another token and another kind of key for the same user find the same threads."""
    thread_id = (await furnish(signed_in(connect(server))))["T"]
    elsewhere = signed_in(connect(server), key="ed")
    assert (await elsewhere.call("threads.get_by_id", thread_id=thread_id))["id"] == thread_id


@pytest.mark.parametrize("header", ["Authorization", "X-Session-Token"])
async def test_either_header_will_do(server: LiveServer, connect: Connect, header: str) -> None:
    """The guide's front end sends a header of its own."""
    sent = token()
    value = f"Bearer {sent}" if header == "Authorization" else sent
    response = await ask(connect(server), **{header: value})
    assert response.status_code == 200
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic eDp5"}, {"Cookie": "a=b"}])
async def test_without_a_token(
    server: LiveServer, connect: Connect, headers: dict[str, str]
) -> None:
    """401, how to sign in, and no cookie."""
    response = await ask(connect(server), **headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert "set-cookie" not in response.headers
    document = response.json()
    assert document.pop("request_id") == response.headers["x-request-id"]
    assert document == {
        "type": "urn:chatkeep:problem:unauthorized",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Sign in to use this chat.",
    }


async def test_with_a_bad_token(server: LiveServer, connect: Connect) -> None:
    """401, that it is the token, and why; not the token."""
    sent = token(exp=1)
    response = await ask(connect(server), Authorization=f"Bearer {sent}")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert response.json()["detail"] == "The token has expired."
    assert not any(part in response.text for part in sent.split("."))


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer {0}"), ("X-Session-Token", "{1}")],
        [("Authorization", "Bearer {0}"), ("Authorization", "Bearer {1}")],
        [("X-Session-Token", "{0}"), ("X-Session-Token", "{1}")],
        [("Authorization", "Bearer x"), ("X-Session-Token", "{0}")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer \xff\xfe")],
        [("X-Session-Token", "")],
        [("X-Session-Token", "x" * 20_000)],
    ],
    ids=lambda headers: str(headers)[:60],
)
async def test_odd_headers(
    server: LiveServer, connect: Connect, headers: list[tuple[str, str]]
) -> None:
    """Two tokens, half a token and long tokens are bad tokens."""
    two = token(), token(sub="bob")
    sent = [(name.encode(), value.format(*two).encode("latin-1")) for name, value in headers]
    response = await connect(server).http.post("/chatkit", json=LIST, headers=sent)
    assert response.status_code == 401
    assert "invalid_token" in response.headers["www-authenticate"]


async def test_a_body_is_not_read_before_the_token(server: LiveServer, connect: Connect) -> None:
    """Strangers learn nothing about what a good request is."""
    response = await connect(server).http.post("/chatkit", content=b"x" * 100)
    assert response.status_code == 401


async def test_the_page_is_for_everybody(
    server: LiveServer, connect: Connect, issuer: Issuer
) -> None:
    """Page, element and probes need no token and set no cookie; the issuer is not asked."""
    client = connect(server)
    for path in ("/", "/chatkit.js", "/livez", "/readyz"):
        for headers in ({}, {"Authorization": "Bearer x"}):
            response = await client.http.get(path, headers=headers)
            assert response.status_code in (200, 404)  # when the front end has not been built
            assert "set-cookie" not in response.headers
    assert issuer.fetches == 0


async def test_any_name_leads_here_when_tokens_are_needed(
    server: LiveServer, connect: Connect
) -> None:
    """The rule for `Host` is one for cookies on loopback."""
    response = await ask(connect(server), Host="chat.example", Authorization=f"Bearer {token()}")
    assert response.status_code == 200


async def test_both_ways_at_once(
    start_server: StartServer, issuer: Issuer, connect: Connect
) -> None:
    """Without a token a cookie; with one, the user of it; a bad one is not forgiven."""
    server = await start_server(**(issuer.settings | {"auth.mode": "anonymous,jwt"}))
    browser, alice = connect(server), signed_in(connect(server))
    thread_id = (await furnish(browser))["T"]
    assert browser.http.cookies
    assert (await alice.call("threads.list", limit=10))["data"] == []
    assert not alice.http.cookies

    bad = await ask(browser, Authorization="Bearer x")
    assert bad.status_code == 401
    signed_in(browser)
    with pytest.raises(ProblemResponse) as caught:
        await browser.items(thread_id)
    assert caught.value.status == 404
    foreign = await ask(browser, Authorization=f"Bearer {token(tenant='local')}")
    assert foreign.status_code == 401
    host = await ask(browser, Host="chat.example")
    assert host.status_code == 403


async def test_the_issuer_is_not_needed_to_start(
    start_server: StartServer, issuer: Issuer, connect: Connect
) -> None:
    """While its keys cannot be had, 503 and when to come back; then all is well."""
    issuer.status = "503 Service Unavailable"
    client = signed_in(connect(await start_server(**issuer.settings)))
    response = await ask(client)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.json()["detail"].startswith("Your sign-in cannot be checked right now.")
    assert "keys" not in response.text
    assert (await client.http.get("/readyz")).status_code == 200
    issuer.status = "200 OK"

    async def welcome() -> bool:
        return (await ask(client)).status_code == httpx2.codes.OK

    await until(welcome)


async def test_keys_are_rotated_while_it_runs(
    server: LiveServer, issuer: Issuer, connect: Connect
) -> None:
    """A token of the new key counts at once, the old one goes on to."""
    assert (await ask(signed_in(connect(server)))).status_code == 200
    issuer.publish("rsa", "rsa2")
    for key in ("rsa2", "rsa"):
        assert (await ask(signed_in(connect(server), key=key))).status_code == 200
    assert issuer.fetches == 2


async def test_check_asks_the_issuer(
    issuer: Issuer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`chatkeep check` says whether the keys can be had, and what is wrong if not."""
    names = {"data_dir": tmp_path / "data", "models.provider": "tour"} | issuer.settings
    said = []
    for status in ("200 OK", "404 Not Found"):
        issuer.status = status
        loaded = load_settings(environ={}, overrides=names)
        failed = await _probe(Chatkeep(settings=loaded))
        lines = capsys.readouterr().out.splitlines()
        said.append((failed, [line for line in lines if re.match(r"(ok|FAILED) +issuer", line)]))
    message = f"{IssuerUnavailableError.__doc__} The issuer's keys cannot be had: "
    assert said == [
        (0, ["ok     issuer"]),
        (1, [f"FAILED issuer: {message}it answered with status 404."]),
    ]


@pytest.mark.parametrize("header", ["authorization", "x-session-token"])
async def test_pages_of_other_origins_may_send_tokens(
    start_server: StartServer, issuer: Issuer, connect: Connect, header: str
) -> None:
    """A listed origin may send either header, and reads the answer, also a refusal."""
    origin = "https://site.example"
    server = await start_server(**issuer.settings, server__cors_origins=origin)
    client = connect(server)
    wanted = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": f"content-type, {header}",
    }
    preflight = await client.http.options("/chatkit", headers=wanted)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == origin
    assert header in preflight.headers["access-control-allow-headers"].lower()

    good = token() if header.startswith("x") else f"Bearer {token()}"
    for value, status in ((good, 200), ("Bearer x", 401)):
        response = await ask(client, Origin=origin, **{header: value})
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == origin
    foreign = await client.http.options("/chatkit", headers=wanted | {"Origin": "https://evil"})
    assert "access-control-allow-origin" not in foreign.headers


async def test_tokens_are_not_in_the_logs(
    server: LiveServer,
    connect: Connect,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Good or bad, in either header, with the issuer there or gone."""
    caplog.set_level(logging.DEBUG)
    sent = [token(), token(exp=1), token("rsa2"), token("rsa2", {"kid": "rsa"})]
    client = connect(server)
    texts = []
    for _ in range(2):
        for each in sent:
            for headers in ({"Authorization": f"Bearer {each}"}, {"X-Session-Token": each}):
                response = await ask(client, **headers)
                texts.append(response.text + str(response.headers))
        await issuer.stop()
    out, err = capfd.readouterr()
    said = "\n".join([caplog.text, out, err, *texts])
    assert "/chatkit" in said
    assert not any(part in said for each in sent for part in each.split(".")[1:])
