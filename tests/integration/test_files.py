"""Files through a real socket: up, down, into a message, and gone again."""

import asyncio
import base64
import re
import resource
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from chatkeep import Chatkeep, load_settings
from chatkeep.context import Principal, RequestContext
from chatkeep.files.attachments import Attachments
from chatkeep.files.keys import read_key
from chatkeep.files.sweeping import Sweeper
from chatkeep.models.scripted import Fail, Text
from chatkeep.testing.client import ChatKitClient, ProblemResponse
from chatkeep.testing.provider import ScriptedProvider
from support.live import Connect, LiveServer, StartServer
from support.waiting import PATIENCE, until

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg=="
)
SHORT_PNG = PNG[:16]


async def create(client: ChatKitClient, **params: Any) -> Any:
    """Register a file."""
    defaults = {"name": "dot.png", "size": len(PNG), "mime_type": "image/png"}
    return await client.call("attachments.create", **(defaults | params))


async def put(attachment: Any, content: Any = PNG) -> httpx2.Response:
    """Upload as a front end does: to the URL, with the headers, and without a cookie."""
    descriptor = attachment["upload_descriptor"]
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        return await http.request(
            descriptor["method"],
            descriptor["url"],
            content=content,
            headers=descriptor["headers"],
        )


async def get(url: str, method: str = "GET", **headers: str) -> httpx2.Response:
    """Fetch a link without a cookie."""
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        return await http.request(method, url, headers=headers)


async def upload(client: ChatKitClient, content: bytes = PNG, **params: Any) -> Any:
    """Register and upload a file."""
    attachment = await create(client, size=len(content), **params)
    response = await put(attachment, content)
    assert response.status_code == 204, response.text
    return attachment


def kept(server: LiveServer) -> list[Path]:
    """Return every file of the server's storage, unfinished ones too."""
    files = server.chatkeep.settings.data_dir / "files"
    return [path for path in files.rglob("*") if path.is_file()]


async def test_two_phases(client: ChatKitClient, server: LiveServer) -> None:
    """Register, upload, send, and see it in the event, in the list and in the thread."""
    attachment = await create(client)

    assert attachment["type"] == "image"
    assert re.fullmatch(r"atc_[0-9a-z]{36}", attachment["id"])
    assert attachment["upload_descriptor"]["method"] == "PUT"
    assert attachment["upload_descriptor"]["url"].startswith(f"{server.url}/files/atc_")
    assert "metadata" not in attachment
    assert (await put(attachment)).status_code == 204

    answer = await client.say("look", attachments=[attachment["id"]])
    (sent,) = answer.of("thread.item.done")[0]["item"]["attachments"]
    (listed,) = (await client.items(answer.thread_id))[0]["attachments"]
    thread = await client.call("threads.get_by_id", thread_id=answer.thread_id)
    (full,) = thread["items"]["data"][0]["attachments"]
    for shown in (attachment, sent, listed, full):
        assert shown["id"] == attachment["id"]
        got = await get(shown["preview_url"])
        assert (got.status_code, got.content) == (200, PNG)
    assert "upload_descriptor" not in sent
    assert "metadata" not in sent


async def test_what_is_stored_knows_no_host(client: ChatKitClient, server: LiveServer) -> None:
    """Neither addresses nor signatures are in the database."""
    attachment = await upload(client)
    await client.say("look", attachments=[attachment["id"]])

    data = server.chatkeep.settings.data_dir
    stored = b"".join(path.read_bytes() for path in data.glob("chatkeep.db*"))
    assert attachment["id"].encode() in stored
    assert b"127.0.0.1" not in stored
    assert b"token=" not in stored


async def test_downloads_are_harmless(client: ChatKitClient) -> None:
    """An image is shown under a sandbox; the name is sent in both of its forms."""
    attachment = await upload(client, name='gr"ün\\%.png')
    url = attachment["preview_url"]
    got = await get(url)

    assert got.headers["content-type"] == "image/png"
    assert got.headers["content-disposition"] == (
        "inline; filename=\"gr__n__.png\"; filename*=UTF-8''gr%22%C3%BCn%5C%25.png"
    )
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert got.headers["cache-control"].startswith("private")
    head = await get(url, "HEAD")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(PNG)))
    assert (await get(url, **{"if-none-match": got.headers["etag"]})).status_code == 304


async def test_other_files_are_only_saved(client: ChatKitClient, server: LiveServer) -> None:
    """HTML is never shown by this server, whatever somebody uploads."""
    attachment = await upload(client, b"<script>", name="a.html", mime_type="text/html")
    # The protocol has no link to a file that is no image; a program makes one.
    link = server.chatkeep.attachments.download_link
    context = await context_of(server, attachment["id"])
    record = await server.chatkeep.store.load_attachment(attachment["id"], context)
    got = await get(link(record, context))

    assert attachment["type"] == "file"
    assert got.headers["content-disposition"].startswith("attachment;")
    assert got.headers["content-security-policy"].startswith("sandbox")


async def context_of(server: LiveServer, attachment_id: str) -> RequestContext:
    """Return the context of the user whose attachment it is."""
    async for file in server.chatkeep.storage.list(""):
        if f"/{attachment_id}/" in file.key:
            place = read_key(file.key)
            assert place
            principal = Principal(place.tenant, place.user, "test")
            return RequestContext(principal, "req", base_url=server.url)
    raise AssertionError(attachment_id)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (PNG + b"x", 413),
        (PNG[:-1], 400),
        (b"", 400),
        (b"x" * len(PNG), 415),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_wrong_bytes_leave_nothing(
    client: ChatKitClient, server: LiveServer, content: bytes, status: int, chunked: bool
) -> None:
    """Too many, too few or other bytes are refused, nothing is kept, and another try is good."""

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 10):
            yield content[at : at + 10]

    attachment = await create(client)
    response = await put(attachment, chunks() if chunked else content)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert kept(server) == []
    with pytest.raises(ProblemResponse, match="409"):
        await client.say("look", attachments=[attachment["id"]])
    assert (await put(attachment)).status_code == 204


async def test_one_upload(client: ChatKitClient, server: LiveServer) -> None:
    """A second upload is refused, also one at the same time."""
    attachment = await create(client)
    answers = await asyncio.gather(*(put(attachment) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [204, 409, 409, 409, 409]
    assert (await put(attachment)).status_code == 409
    assert len(kept(server)) == 1


async def test_links_are_for_one_thing(client: ChatKitClient) -> None:
    """A link changed, missing, or used for something else is refused."""
    attachment, other = await upload(client), await create(client)
    up, down = attachment["upload_descriptor"]["url"], attachment["preview_url"]
    plain = down.partition("?")[0]

    for url in (
        plain,
        f"{plain}?token=x",
        up,
        down + "x",
        down.replace(attachment["id"], other["id"]),
    ):
        assert (await get(url)).status_code == 403, url
    other["upload_descriptor"]["url"] = other["preview_url"]
    assert (await put(other)).status_code == 403


async def test_links_end(
    start_server: StartServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An expired link is refused, for uploads and downloads."""
    server = await start_server(files__upload_seconds=300, files__download_seconds=600)
    client = connect(server)
    attachment, done = await create(client), await upload(client)
    made = time.time()
    signer = server.chatkeep.attachments._signer

    monkeypatch.setattr(signer, "_now", lambda: made + 301)
    assert (await put(attachment)).status_code == 403
    assert (await get(done["preview_url"])).status_code == 200

    monkeypatch.setattr(signer, "_now", lambda: made + 601)
    expired = await get(done["preview_url"])
    assert expired.status_code == 403
    assert "expired" in expired.json()["detail"]


async def test_a_client_that_leaves(client: ChatKitClient, server: LiveServer) -> None:
    """When the connection breaks in the middle, nothing is kept, and another try is good."""
    size = 3_000_000
    attachment = await create(client, name="a.txt", size=size, mime_type="text/plain")
    url = httpx2.URL(attachment["upload_descriptor"]["url"])
    _, writer = await asyncio.open_connection(url.host, url.port)
    target = url.raw_path.decode()
    writer.write(
        f"PUT {target} HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {size}\r\n\r\n".encode()
    )
    writer.write(b"x" * (size // 2))
    await writer.drain()
    await until(lambda: kept(server))
    writer.transport.abort()
    await until(lambda: not kept(server))

    assert (await put(attachment, b"x" * size)).status_code == 204


async def test_large_files_are_streamed(client: ChatKitClient, server: LiveServer) -> None:
    """50 MB go up and down in little memory."""
    size = 50 * 1024 * 1024
    block = b"0123456789abcde\n" * 4096

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(size // len(block)):
            yield block

    attachment = await create(client, name="a.txt", size=size, mime_type="text/plain")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (await put(attachment, blocks())).status_code == 204
    context = await context_of(server, attachment["id"])
    record = await server.chatkeep.store.load_attachment(attachment["id"], context)
    url = server.chatkeep.attachments.download_link(record, context)
    received = 0
    async with (
        httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as http,
        http.stream("GET", url) as response,
    ):
        async for chunk in response.aiter_bytes():
            received += len(chunk)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert received == size
    assert grown < 20_000, f"{grown} KB more"


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"name": ""}, 400),
        ({"name": "a\nb"}, 400),
        ({"name": "a\u202egnp.exe"}, 400),
        ({"name": "x" * 256}, 400),
        ({"size": 0}, 400),
        ({"size": -1}, 400),
        ({"size": 52_428_801}, 413),
        ({"mime_type": "application/x-msdownload"}, 415),
        ({"mime_type": "image/svg+xml"}, 415),
        ({"mime_type": "nonsense"}, 415),
    ],
)
async def test_what_cannot_be_registered(
    client: ChatKitClient, params: dict[str, Any], status: int
) -> None:
    """Names, sizes and types have limits, for both ways of uploading."""
    with pytest.raises(ProblemResponse) as refused:
        await create(client, **params)
    assert refused.value.status == status


async def form(client: ChatKitClient, name: str, content: bytes, mime_type: str) -> Any:
    """Upload directly."""
    return await client.http.post("/files", files={"file": (name, content, mime_type)})


async def test_direct(client: ChatKitClient) -> None:
    """A form with one file is answered with the attachment, which can be sent at once."""
    response = await form(client, "dot.png", PNG, "image/png")
    attachment = response.json()

    assert response.status_code == 200
    assert {*attachment} == {"id", "name", "mime_type", "type", "preview_url"}
    assert (await get(attachment["preview_url"])).content == PNG
    answer = await client.say("look", attachments=[attachment["id"]])
    assert answer.error is None


async def test_direct_refusals(start_server: StartServer, connect: Connect) -> None:
    """A form that is none, too large, or has the wrong file, is refused and leaves nothing."""
    server = await start_server(files__max_bytes=1000)
    client = connect(server)

    assert (await form(client, "a.png", b"text", "image/png")).status_code == 415
    assert (await form(client, "a.exe", b"MZ", "application/x-msdownload")).status_code == 415
    assert (await form(client, "a.txt", b"x" * 1001, "text/plain")).status_code == 413
    assert (await form(client, "a.txt", b"x" * 100_000, "text/plain")).status_code == 413
    assert (await form(client, "a.txt", b"", "text/plain")).status_code == 400
    assert (await client.http.post("/files", data={"file": "x"})).status_code == 415
    assert (await client.http.post("/files", files={"other": b"x"})).status_code == 400
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await client.http.post("/files", content=b"--y", headers=broken)).status_code == 400
    foreign = {"Origin": "https://evil.example"}
    refused = await client.http.post("/files", files={"file": b"x"}, headers=foreign)
    assert refused.status_code == 403
    assert kept(server) == []


async def test_other_users(client: ChatKitClient, server: LiveServer, connect: Connect) -> None:
    """Another user's attachment is unknown: neither sent nor deleted."""
    attachment = await upload(client)
    other = connect(server)

    with pytest.raises(ProblemResponse, match="404"):
        await other.say("mine?", attachments=[attachment["id"]])
    await other.call("attachments.delete", attachment_id=attachment["id"])
    assert (await get(attachment["preview_url"])).status_code == 200


async def test_a_message_and_its_files(client: ChatKitClient) -> None:
    """A file is part of one thread; a message has ten at most, each once."""
    attachment = await upload(client)
    first = await client.say("one", attachments=[attachment["id"]])
    assert (await client.say("again", first.thread_id, attachments=[attachment["id"]])).text

    for attachments, status in (
        ([attachment["id"]], "409"),
        ([f"atc_{number}" for number in range(11)], "400"),
        (["atc_1", "atc_1"], "400"),
    ):
        with pytest.raises(ProblemResponse, match=status):
            await client.say("two", attachments=attachments)
    assert len((await client.call("threads.list"))["data"]) == 1


async def test_deletions_remove_the_bytes(client: ChatKitClient, server: LiveServer) -> None:
    """An attachment's deletion and a thread's take the bytes along; both may be repeated."""
    first, second = await upload(client), await upload(client)
    answer = await client.say("one", attachments=[second["id"]])
    for _ in range(2):
        await client.call("attachments.delete", attachment_id=first["id"])
    assert len(kept(server)) == 1
    for _ in range(2):
        await client.call("threads.delete", thread_id=answer.thread_id)
    assert kept(server) == []
    assert (await get(second["preview_url"])).status_code == 404
    assert (await put(first)).status_code == 404


async def test_the_quota(start_server: StartServer, connect: Connect) -> None:
    """A user's files together have a limit; deleting makes room; others have their own."""
    server = await start_server(files__quota_bytes=len(PNG) + 10)
    client, other = connect(server), connect(server)
    attachment = await upload(client)

    with pytest.raises(ProblemResponse, match="413"):
        await create(client)
    await upload(other)
    await client.call("attachments.delete", attachment_id=attachment["id"])
    await upload(client)


async def test_uploads_at_the_same_time_do_not_pass_the_quota(
    start_server: StartServer, connect: Connect
) -> None:
    """Each finds room before the others are there; those that are too many are refused then."""
    server = await start_server(files__quota_bytes=2 * len(PNG) + 10)
    client = connect(server)
    files = [await create(client) for _ in range(4)]
    half = asyncio.Event()
    begun = 0

    async def slowly() -> AsyncIterator[bytes]:
        nonlocal begun
        yield PNG[:20]
        begun += 1
        if begun == len(files):
            half.set()
        await half.wait()
        yield PNG[20:]

    answers = await asyncio.gather(*[put(file, slowly()) for file in files])

    assert {answer.status_code for answer in answers} <= {204, 413}
    assert sum(path.stat().st_size for path in kept(server)) <= 2 * len(PNG)
    assert sum(answer.status_code == 204 for answer in answers) == len(kept(server))


async def test_sweeping(client: ChatKitClient, server: LiveServer) -> None:
    """Files that were never sent, or have no record, go after their time; the others stay."""
    sent, unsent = await upload(client), await upload(client)
    await client.say("one", attachments=[sent["id"]])
    orphan = await upload(client)
    context = await context_of(server, orphan["id"])
    store, storage = server.chatkeep.store, server.chatkeep.storage
    await store.delete_attachment(orphan["id"], context)
    sweeper = Sweeper(store, storage)
    now = datetime.now(UTC)

    assert await sweeper.sweep(now - timedelta(hours=24)) == 0
    assert await sweeper.sweep(now + timedelta(seconds=1)) == 2
    assert [sent["id"] in str(path) for path in kept(server)] == [True]
    with pytest.raises(ProblemResponse, match="404"):
        await client.say("two", attachments=[unsent["id"]])


async def test_the_model_sees_images_and_text(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """An image arrives as one, text as text, and the next turns have them still."""
    image = await upload(client)
    text = await upload(client, "Größe: 12".encode(), name="a.csv", mime_type="text/csv")
    answer = await client.say("look", attachments=[image["id"], text["id"]])
    again = await client.say("and?", answer.thread_id)

    assert answer.error is again.error is None
    for request in provider.streamed[-2:]:
        parts = next(m["content"] for m in request["messages"] if m["role"] == "user")
        assert [part["type"] for part in parts] == ["text", "image_url", "text"]
        assert parts[1]["image_url"]["url"] == (
            f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
        )
        assert "a.csv" in parts[2]["text"]
        assert "Größe: 12" in parts[2]["text"]


async def test_old_images_become_notes(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Images go along in the newest messages only; large ones, and other files, never."""
    server = await start_server(files__image_messages=2, files__image_bytes=100)
    client = connect(server)
    small, large = await upload(client, PNG[:80]), await upload(client, PNG + b"\0" * 100)
    pdf = await upload(client, b"%PDF-1.7", name="a.pdf", mime_type="application/pdf")
    answer = await client.say("1", attachments=[small["id"], large["id"], pdf["id"]])
    first = provider.streamed[-1]["messages"][1]["content"]
    assert [part["type"] for part in first] == ["text", "image_url", "text", "text"]
    await client.say("2", answer.thread_id)
    assert "image_url" in str(provider.streamed[-1])
    await client.say("3", answer.thread_id)
    assert "image_url" not in str(provider.streamed[-1])
    assert "dot.png" in str(provider.streamed[-1])


async def test_a_provider_that_takes_no_images(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """A refused request is sent once more without its images, in this turn and later ones."""

    def script(_: Any) -> list[Any]:
        refused = "image_url" in str(provider.requests[-1])
        return [Fail(400)] if refused else [Text("no picture")]

    provider.script = script
    image = await upload(client)
    answer = await client.say("look", attachments=[image["id"]])
    again = await client.say("and?", answer.thread_id)

    assert answer.texts == again.texts == ["no picture"]
    assert answer.error is again.error is None
    assert "An image was here" in str(provider.streamed[-1])


async def test_mounted_and_public_urls(tmp_path: Path) -> None:
    """Links know where the application is mounted, or what they were told."""
    for public, expected in (
        (None, "http://localhost/chat"),
        ("https://c.example/x/", "https://c.example/x"),
    ):
        overrides = {
            "data_dir": tmp_path / "data",
            "models.provider": "scripted",
            "server.public_url": public,
        }
        app, main = Chatkeep(settings=load_settings(environ={}, overrides=overrides)), FastAPI()
        main.mount("/chat", app)
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(main), base_url="http://localhost"
        ) as http:
            params = {"name": "a.png", "size": len(PNG), "mime_type": "image/png"}
            body = {"type": "attachments.create", "params": params}
            attachment = (await http.post("/chat/chatkit", json=body)).json()
        url = attachment["upload_descriptor"]["url"]
        assert url.startswith(f"{expected}/files/{attachment['id']}?token=")
        await app.aclose()


async def test_two_instances_complete_one_upload(client: ChatKitClient, server: LiveServer) -> None:
    """Both have the bytes when they look at the record; exactly one wins, and its bytes stay."""
    attachment = await create(client)
    token = attachment["upload_descriptor"]["url"].partition("token=")[2]
    one = server.chatkeep.attachments
    two = Attachments(one._store, one._storage, one._signer, one.limits)
    both = asyncio.Barrier(2)

    async def content() -> AsyncIterator[bytes]:
        yield PNG
        await both.wait()

    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(
            *(each.receive(attachment["id"], token, content()) for each in (one, two)),
            return_exceptions=True,
        )

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConflictError", "NoneType"]
    assert len(kept(server)) == 1
    answer = await client.say("look", attachments=[attachment["id"]])
    (sent,) = answer.of("thread.item.done")[0]["item"]["attachments"]
    assert (await get(sent["preview_url"])).content == PNG


async def test_a_file_goes_to_one_thread(client: ChatKitClient) -> None:
    """Two messages at once name the same file: one conversation gets it."""
    attachment = await upload(client)
    threads = [(await client.say("hello")).thread_id for _ in range(2)]

    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(
            *(client.say("look", each, attachments=[attachment["id"]]) for each in threads),
            return_exceptions=True,
        )

    shown = [
        each
        for each in threads
        for item in await client.items(each)
        if item["type"] == "user_message" and item["attachments"]
    ]
    assert len(shown) == 1
    refused = [each for each in outcomes if isinstance(each, ProblemResponse)]
    assert [each.status for each in refused] == [409]
