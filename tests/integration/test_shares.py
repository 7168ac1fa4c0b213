"""Links to read a conversation, through a real socket: for strangers, as it was, until revoked."""

import asyncio
import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from chatkeep import Chatkeep, load_settings
from chatkeep.context import RequestContext
from chatkeep.models.scripted import Message, Step, Text, Thought
from chatkeep.testing.client import ChatKitClient, user_input
from chatkeep.testing.provider import ScriptedProvider
from chatkeep.testing.store_samples import every_item
from support.files import PNG, upload
from support.live import LiveServer


async def share(client: ChatKitClient, thread_id: str, **order: Any) -> Any:
    """Share a thread."""
    response = await client.http.post(f"/chatkit/threads/{thread_id}/shares", json=order)
    assert response.status_code == 201, response.text
    return response.json()


async def get(url: str, **params: Any) -> httpx2.Response:
    """Read as a stranger."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        return await http.get(url, params=params or None)


async def test_a_stranger_reads_what_was_shared(client: ChatKitClient, server: LiveServer) -> None:
    """The page has the conversation until then, under headers that keep it harmless."""
    thread_id = (await client.say("What is a lock?")).thread_id
    made = await share(client, thread_id)
    await client.say("and a key?", thread_id)

    assert set(made) == {"id", "url", "created_at", "expires_at"}
    assert re.fullmatch(rf"{server.url}/share/[A-Za-z0-9_-]{{43}}", made["url"])
    response = await get(made["url"])
    assert response.status_code == 200
    assert "What is a lock?" in response.text
    assert "key" not in response.text
    assert "<script" not in response.text
    headers = response.headers
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-robots-tag"] == "noindex, nofollow"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "set-cookie" not in headers


async def test_json_in_pages(client: ChatKitClient) -> None:
    """The same as data, by a cursor; hidden items are in neither."""
    thread_id = (await client.say("one")).thread_id
    await client.say("two", thread_id)
    url = (await share(client, thread_id))["url"] + ".json"

    whole = (await get(url)).json()
    first = (await get(url, limit=3)).json()
    rest = (await get(url, limit=3, after=first["after"])).json()
    assert whole["thread"]["title"] == "one"
    assert first["data"] + rest["data"] == whole["data"]
    assert (len(whole["data"]), first["has_more"], rest["has_more"]) == (4, True, False)
    assert (await get(url, limit=0)).status_code == 400
    assert (await get(url, after="nowhere")).status_code == 404


async def test_unknown_revoked_and_expired_are_the_same(
    client: ChatKitClient, server: LiveServer
) -> None:
    """Whoever has a link that is no good cannot tell why."""
    thread_id = (await client.say("hello", attachments=[await upload(client)])).thread_id
    revoked = await share(client, thread_id)
    expired = await share(client, thread_id, expires_in=1)
    page = (await get(revoked["url"])).text
    image = server.url + re.findall(r'src="([^"]+)"', page)[0].replace("&amp;", "&")
    assert (await get(image)).content == PNG

    gone = f"/chatkit/shares/{revoked['id']}"
    assert (await client.http.delete(gone)).status_code == 204
    assert (await client.http.delete(gone)).status_code == 204
    async with asyncio.timeout(30):
        while (await get(expired["url"])).status_code != 404:
            await asyncio.sleep(0.05)
    unknown = f"{server.url}/share/{'x' * 43}"
    for suffix in ("", ".json", f"/files/{'x' * 10}?token=x"):
        answers = [await get(each + suffix) for each in (unknown, revoked["url"], expired["url"])]
        told = [re.sub(r'"req_[^"]+"', "", answer.text) for answer in answers]
        assert [answer.status_code for answer in answers] == [404] * 3
        assert told[0] == told[1] == told[2]
    assert (await get(image)).status_code == 404
    listed = (await client.http.get(f"/chatkit/threads/{thread_id}/shares")).json()["data"]
    assert [each["id"] for each in listed] == [expired["id"]]
    await client.call("threads.delete", thread_id=thread_id)
    assert (await client.http.get(f"/chatkit/threads/{thread_id}/shares")).status_code == 404


async def test_images_by_links_that_end_with_the_share(
    client: ChatKitClient, server: LiveServer
) -> None:
    """A link shows the file, names nobody, and is good for nothing else."""
    picture, other = await upload(client), await upload(client)
    answer = await client.say("look", attachments=[picture])
    await client.say("another", attachments=[other])
    made, second = [await share(client, answer.thread_id) for _ in range(2)]

    (item, _) = (await get(made["url"] + ".json")).json()["data"]
    link = item["attachments"][0]["preview_url"]
    response = await get(link)
    assert (response.content, response.headers["content-type"]) == (PNG, "image/png")
    (principal,) = await server.chatkeep.store.load_users(None, None, 10)
    token = link.partition("token=")[2]
    assert principal.user not in str(httpx2.URL(link)) + _payload(token)

    elsewhere = [
        link.replace(made["url"], second["url"]),
        link.replace(picture, other),
        f"{server.url}/files/{picture}?token={token}",
        link[:-3],
    ]
    assert [(await get(each)).status_code for each in elsewhere] == [403] * 4


def _payload(token: str) -> str:
    part = token.partition(".")[0]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()


def hostile(messages: Sequence[Message]) -> Iterable[Step]:
    """Answer with everything that a page must not do."""
    del messages
    return [
        Thought("<b>hm</b>"),
        Text(
            "<script>alert(1)</script> [a](javascript:alert(1)) [b](https://b.example/?q='\"<>) "
            "![i](https://evil.example/i.png) <img src=x onerror=alert(1)>\n\n"
            "| a | b |\n|---|---|\n| `c` | ~~d~~ |\n"
        ),
    ]


async def test_nothing_of_a_conversation_is_markup(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """Title, question, name of a file and answer are escaped; links are marked."""
    provider.script = hostile
    file = await upload(client, b"x", name="<i>.txt", mime_type="text/plain")
    thread_id = (await client.say("<u>what</u>", attachments=[file])).thread_id
    url = f"/chatkit/threads/{thread_id}"
    await client.http.patch(url, json={"title": "</title><script>"})
    page = (await get((await share(client, thread_id))["url"])).text

    for tag in ("<script", "<u>", "<i>", "<b>hm", "onerror=alert(1)>", 'href="javascript'):
        assert tag not in page
    assert "&lt;u&gt;what&lt;/u&gt;" in page
    assert "evil.example" not in re.findall(r'src="[^"]*"', page)
    assert 'rel="nofollow noopener noreferrer"' in page
    assert "<td><code>c</code></td>" in page
    assert "<s>d</s>" in page


async def test_every_kind_of_item_can_be_shown(client: ChatKitClient, server: LiveServer) -> None:
    """No stored item makes a page or a document fail."""
    thread_id = (await client.say("hello")).thread_id
    (principal,) = await server.chatkeep.store.load_users(None, None, 10)
    for item in every_item(thread_id):
        await server.chatkeep.store.add_thread_item(thread_id, item, RequestContext(principal, ""))
    url = (await share(client, thread_id))["url"]
    assert (await get(url)).status_code == 200
    kinds = {item["type"] for item in (await get(url + ".json")).json()["data"]}
    assert not kinds & {"hidden_context_item", "sdk_hidden_context"}


async def test_long_conversations_have_pages(client: ChatKitClient, server: LiveServer) -> None:
    """A page has 50 items and leads to the next one."""
    thread_id = (await client.say("hello")).thread_id
    (principal,) = await server.chatkeep.store.load_users(None, None, 10)
    context = RequestContext(principal, "")
    (message,) = [i for i in await client.items(thread_id) if i["type"] == "assistant_message"]
    stored = await server.chatkeep.store.load_item(thread_id, message["id"], context)
    for number in range(60):
        copy = stored.model_copy(update={"id": f"msg_{number}"})
        await server.chatkeep.store.add_thread_item(thread_id, copy, context)
    url = (await share(client, thread_id))["url"]
    first = (await get(url)).text
    (query,) = re.findall(r'href="(\?after=[^"]+)"', first)
    second = (await get(url + query)).text
    assert (first.count("<article"), second.count("<article")) == (50, 12)
    assert 'href="?"' in second


async def test_orders_that_are_none(client: ChatKitClient, server: LiveServer) -> None:
    """Times that are no number of seconds, other fields, and too many links."""
    thread_id = (await client.say("hello")).thread_id
    url = f"/chatkit/threads/{thread_id}/shares"
    for order in ({"expires_in": 0}, {"expires_in": "1"}, {"expires_in": 1e99}, {"x": 1}, []):
        assert (await client.http.post(url, json=order)).status_code == 400, order
    (principal,) = await server.chatkeep.store.load_users(None, None, 10)
    for number in range(100):
        name = str(number)
        await server.chatkeep.store.create_share(
            thread_id, name, name, None, RequestContext(principal, "")
        )
    assert (await client.http.post(url, json={})).status_code == 409


async def test_only_the_digest_is_kept(
    client: ChatKitClient, server: LiveServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the database nor the log has the secret."""
    thread_id = (await client.say("hello")).thread_id
    secret = (await share(client, thread_id))["url"].rpartition("/")[2]
    assert (await get(f"{server.url}/share/{secret}")).status_code == 200
    await get(f"{server.url}/share/{secret}/files/x?token=x")
    logged = capsys.readouterr().out
    assert "/share/-/files/x" in logged
    assert secret not in logged
    data = server.chatkeep.settings.data_dir
    stored = b"".join(path.read_bytes() for path in data.glob("chatkeep.db*"))
    assert secret.encode() not in stored
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in stored


async def test_below_a_path(tmp_path: Path) -> None:
    """A mounted server makes links that lead to it, also those of images."""
    overrides = {"data_dir": tmp_path / "data", "models.provider": "scripted"}
    app, main = Chatkeep(settings=load_settings(environ={}, overrides=overrides)), FastAPI()
    main.mount("/chat", app)
    transport = httpx2.ASGITransport(main)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        form = {"file": ("dot.png", PNG, "image/png")}
        file = (await http.post("/chat/files", files=form)).json()
        message = user_input("look", attachments=[file["id"]])
        body = {"type": "threads.create", "params": {"input": message}}
        await http.post("/chat/chatkit", json=body)
        (thread,) = (await http.get("/chat/chatkit/threads")).json()["data"]
        order = await http.post(f"/chat/chatkit/threads/{thread['id']}/shares", json={})
        url = order.json()["url"]
        page = await http.get(url)
        (image,) = re.findall(r'src="([^"]+)"', page.text)

        assert url.startswith("http://localhost/chat/share/")
        assert (await http.get(image.replace("&amp;", "&"))).content == PNG
        assert (await http.get(url + ".json")).status_code == 200
    await app.aclose()
