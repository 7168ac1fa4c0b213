"""Lists by activity, put away, found again, renamed: through a real socket."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import httpx2
import pytest
from agents import Agent, RunContextWrapper, function_tool
from chatkit.agents import AgentContext

from chatkeep.context import RequestContext
from chatkeep.models.scripted import Call, Message, Step, Text
from chatkeep.testing.client import ChatKitClient
from chatkeep.testing.provider import ScriptedProvider
from chatkeep.testing.store_samples import message
from support.live import Connect, LiveServer, StartServer, whose

Context = RunContextWrapper[AgentContext[RequestContext]]


async def listed(client: ChatKitClient, **params: Any) -> list[str]:
    """Return the ids of the threads of a list of ours."""
    response = await client.http.get("/chatkit/threads", params=params)
    assert response.status_code == 200, response.text
    return [thread["id"] for thread in response.json()["data"]]


async def protocol_list(client: ChatKitClient, **params: Any) -> list[str]:
    """Return the ids of the threads of the protocol's list."""
    page = await client.call("threads.list", limit=10, order="desc", **params)
    return [thread["id"] for thread in page["data"]]


async def patch(client: ChatKitClient, thread_id: str, **change: Any) -> httpx2.Response:
    """Change a thread."""
    return await client.http.patch(f"/chatkit/threads/{thread_id}", json=change)


async def test_lists_are_by_activity(client: ChatKitClient) -> None:
    """Who writes in an old conversation finds it on top, in both lists."""
    old = (await client.say("first")).thread_id
    new = (await client.say("second")).thread_id
    assert await listed(client) == await protocol_list(client) == [new, old]

    await client.say("again", old)

    assert await listed(client) == await protocol_list(client) == [old, new]
    page = (await client.http.get("/chatkit/threads", params={"limit": 1})).json()
    assert (len(page["data"]), page["has_more"]) == (1, True)
    assert await listed(client, after=page["after"]) == [new]
    assert await listed(client, limit=1_000_000) == [old, new]


async def test_what_a_list_tells(client: ChatKitClient) -> None:
    """A row has all that a list shows; the protocol's rows stay as they were."""
    thread_id = (await client.say("What is a lock?")).thread_id
    response = await client.http.get("/chatkit/threads")
    (row,) = response.json()["data"]

    assert set(row) == {
        *("id", "title", "preview", "active_at", "unread", "archived", "created_at", "status"),
    }
    assert (row["id"], row["title"], row["unread"]) == (thread_id, "What is a lock?", False)
    assert (row["archived"], row["status"]) == (False, {"type": "active"})
    assert row["preview"]
    assert response.headers["cache-control"] == "no-store"
    page = await client.call("threads.list", limit=10, order="desc")
    names = {"id", "title", "created_at", "status", "items", "metadata"}
    assert set(page["data"][0]) == names
    assert page["data"][0]["metadata"] == {}


async def test_change(client: ChatKitClient, server: LiveServer) -> None:
    """Read, renamed and put away; a new message takes it back."""
    thread_id = (await client.say("hello")).thread_id

    late = message("msg_late", "by the way", thread_id=thread_id)
    await server.chatkeep.store.add_thread_item(thread_id, late, await whose(server))
    (row,) = (await client.http.get("/chatkit/threads")).json()["data"]
    assert (row["unread"], row["preview"]) == (True, "by the way")
    await client.call("threads.get_by_id", thread_id=thread_id)
    (row,) = (await client.http.get("/chatkit/threads")).json()["data"]
    assert row["unread"] is False
    again = message("msg_again", "and", thread_id=thread_id)
    await server.chatkeep.store.add_thread_item(thread_id, again, await whose(server))
    read = (await patch(client, thread_id, read=True)).json()
    assert (read["unread"], read["archived"]) == (False, False)
    away = (await patch(client, thread_id, archived=True, title="Old things")).json()
    assert (away["archived"], away["title"]) == (True, "Old things")
    assert await listed(client) == await protocol_list(client) == []
    assert await listed(client, archived="true") == [thread_id]

    await client.say("again", thread_id)
    assert await listed(client) == [thread_id]
    assert (await patch(client, thread_id)).json()["title"] == "Old things"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"archived": "yes"}', "archived"),
        (b'{"read": false}', "read"),
        (b'{"title": ""}', "title"),
        (b'{"title": "a\\nb"}', "title"),
        (b'{"colour": "red"}', "colour"),
        (b"[]", "body"),
        (b"\xff", "body"),
    ],
)
async def test_changes_that_are_none(client: ChatKitClient, body: bytes, field: str) -> None:
    """The answer names the field, and nothing of what was sent."""
    thread_id = (await client.say("hello")).thread_id
    headers = {"content-type": "application/json"}
    url = f"/chatkit/threads/{thread_id}"
    response = await client.http.patch(url, content=body, headers=headers)
    assert (response.status_code, response.json()["detail"].split(":")[0]) == (400, field)


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=-1", "limit=²", "archived=1"])
async def test_queries_that_are_none(client: ChatKitClient, query: str) -> None:
    """What cannot be is refused before anything is asked of the store."""
    assert (await client.http.get(f"/chatkit/threads?{query}")).status_code == 400


async def test_search(client: ChatKitClient) -> None:
    """Messages and titles are found, with the place of the words."""
    thread_id = (await client.say("The Müller account is overdue")).thread_id

    found = (await client.http.get("/chatkit/search", params={"q": "muller over"})).json()
    hits = [hit for hit in found["data"] if hit["item_id"]]
    assert {hit["thread_id"] for hit in found["data"]} == {thread_id}
    start, end = hits[0]["marks"][0]
    assert hits[0]["snippet"][start:end] == "Müller"
    assert any(hit["item_id"] is None for hit in found["data"])
    page = (await client.http.get("/chatkit/search", params={"q": "muller", "limit": 1})).json()
    more = {"q": "muller", "limit": 1, "after": page["after"]}
    assert (await client.http.get("/chatkit/search", params=more)).json()["data"] != page["data"]
    assert (await client.http.get("/chatkit/search")).json()["data"] == []
    long = await client.http.get("/chatkit/search", params={"q": "x" * 1_001})
    assert long.status_code == 400


ROUTES = [
    ("PATCH", "/chatkit/threads/{id}", {"archived": True}),
    ("PATCH", "/chatkit/threads/{id}", {"read": True}),
    ("PATCH", "/chatkit/threads/{id}", {"title": "mine"}),
    ("PATCH", "/chatkit/threads/{id}", {}),
    ("GET", "/chatkit/threads?after={id}", None),
    ("GET", "/chatkit/search?q=secret&after={id}", None),
    ("GET", "/chatkit/threads/{id}/export", None),
    ("GET", "/chatkit/threads/{id}/export?format=markdown", None),
    ("POST", "/chatkit/threads/{id}/shares", {}),
    ("GET", "/chatkit/threads/{id}/shares", None),
    ("DELETE", "/chatkit/shares/{id}", None),
    ("GET", "/share/{id}", None),
    ("GET", "/share/{id}.json", None),
    ("GET", "/share/{id}/files/{id}?token=x", None),
]


async def test_a_foreign_id_is_an_unknown_one(
    client: ChatKitClient, server: LiveServer, connect: Connect
) -> None:
    """On every route, somebody else's thread and share are answered as nothing at all."""
    thread_id = (await client.say("my secret")).thread_id
    share = (await client.http.post(f"/chatkit/threads/{thread_id}/shares", json={})).json()
    stranger = connect(server)
    await stranger.say("hello")

    for method, path, body in ROUTES:
        foreign = share["id"] if "/shares/" in path else thread_id
        outcomes: list[tuple[int, Any]] = []
        for each in (foreign, foreign[:-1] + "_", "thr%00"):
            url = path.format(id=each)
            response = await stranger.http.request(method, url, json=body)
            document = (
                {} if "json" not in response.headers.get("content-type", "") else (response.json())
            )
            document.pop("request_id", None)
            outcomes.append((response.status_code, document))
        assert outcomes[0] == outcomes[1] == outcomes[2], path
        assert outcomes[0][0] == (204 if method == "DELETE" else 404), path
    whole = (await stranger.http.get("/chatkit/export")).text
    assert "my secret" not in whole
    assert (await stranger.http.get("/chatkit/search?q=secret")).json()["data"] == []
    shares = (await client.http.get(f"/chatkit/threads/{thread_id}/shares")).json()["data"]
    (row,) = (await client.http.get("/chatkit/threads")).json()["data"]
    assert [each["id"] for each in shares] == [share["id"]]
    assert (row["title"], row["archived"], row["unread"]) == ("my secret", False, False)


async def test_other_sites(start_server: StartServer, connect: Connect) -> None:
    """A site that may call may use every method; another one may not."""
    friend = "https://friend.example"
    client = connect(await start_server(server__cors_origins=friend))
    thread_id = (await client.say("hello")).thread_id
    url = f"/chatkit/threads/{thread_id}"
    for method in ("PATCH", "DELETE"):
        asked = {"Origin": friend, "Access-Control-Request-Method": method}
        assert (await client.http.options(url, headers=asked)).status_code == 200
    evil = {"Origin": "https://evil.example"}
    response = await client.http.patch(url, json={"title": "gone"}, headers=evil)
    assert response.status_code == 403


class Rendezvous:
    """An agent that changes its thread after the test has changed it."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()

        @function_tool
        async def change(context: Context) -> str:
            """Change the thread."""
            self.begun.set()
            await self.go.wait()
            context.context.thread.allowed_image_domains = ["images.example"]
            context.context.thread.metadata["stage"] = "late"
            return "changed"

        self.agent = Agent(name="a", instructions="b", tools=[change])

    @staticmethod
    def script(messages: Sequence[Message]) -> Iterable[Step]:
        """Call the tool when asked to."""
        if messages[-1].role == "user" and messages[-1].text == "change":
            return [Call("change", {})]
        return [Text("Done.")]


async def test_a_rename_during_an_answer_stays(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """An author's change of the thread is stored beside it, and both are told."""
    meeting = Rendezvous()
    provider.script = meeting.script
    server = await start_server(meeting.agent)
    client = connect(server)
    thread_id = (await client.say("hello")).thread_id

    async with asyncio.timeout(30):
        answering = asyncio.create_task(client.say("change", thread_id))
        await meeting.begun.wait()
        assert (await patch(client, thread_id, title="By hand")).status_code == 200
        meeting.go.set()
        answer = await answering

    thread = await client.call("threads.get_by_id", thread_id=thread_id)
    assert (thread["title"], thread["allowed_image_domains"]) == ("By hand", ["images.example"])
    (told, *_) = answer.of("thread.updated")
    assert told["thread"]["title"] == "By hand"
    (principal,) = await server.chatkeep.store.load_users(None, None, 10)
    stored = await server.chatkeep.store.load_thread(thread_id, RequestContext(principal, ""))
    assert stored.metadata == {"stage": "late"}


async def test_a_thread_deleted_during_an_answer_stays_deleted(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Another instance deletes it; what the author's code changes has nowhere to go."""
    meeting = Rendezvous()
    provider.script = meeting.script
    server = await start_server(meeting.agent)
    client = connect(server)
    thread_id = (await client.say("hello")).thread_id
    (principal,) = await server.chatkeep.store.load_users(None, None, 10)

    async with asyncio.timeout(30):
        answering = asyncio.create_task(client.say("change", thread_id))
        await meeting.begun.wait()
        await server.chatkeep.store.delete_thread(thread_id, RequestContext(principal, ""))
        meeting.go.set()
        answer = await answering

    assert answer.error is not None
    assert await listed(client) == []
