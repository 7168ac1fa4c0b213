"""Conversations out as documents and in again, through a real socket."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, cast

import httpx2
import pytest
from chatkit.types import ThreadMetadata, UserMessageItem

from chatkeep.context import RequestContext
from chatkeep.files.attachments import Attachments
from chatkeep.files.memory import MemoryStorage
from chatkeep.models.scripted import Citation, Message, Step, Text, Thought
from chatkeep.ports import Store
from chatkeep.testing.client import ChatKitClient
from chatkeep.testing.provider import ScriptedProvider
from chatkeep.testing.store_samples import every_item
from chatkeep.transfer.restore import INCOMPLETE, import_threads
from support.files import PNG, upload
from support.live import Connect, LiveServer, StartServer, whose
from support.waiting import until

JSON = {"content-type": "application/json"}


async def export(client: ChatKitClient, thread_id: str | None = None, **params: str) -> Any:
    """Return the document of one thread or of all."""
    url = f"/chatkit/threads/{thread_id}/export" if thread_id else "/chatkit/export"
    response = await client.http.get(url, params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def restore(client: ChatKitClient, document: Any) -> httpx2.Response:
    """Send a document."""
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    return await client.http.post("/chatkit/import", content=content, headers=JSON)


async def furnish(client: ChatKitClient) -> list[str]:
    """Have three conversations: one put away, one with files and a judgement, one plain."""
    away = (await client.say("an old story")).thread_id
    await client.http.patch(f"/chatkit/threads/{away}", json={"archived": True, "title": "Old"})
    picture = await upload(client)
    notes = await upload(client, "häkchen ✓\n".encode() * 99, name="a.txt", mime_type="text/plain")
    files = (await client.say("look", attachments=[picture, notes])).thread_id
    answer = [item for item in await client.items(files) if item["type"] == "assistant_message"]
    await client.call(
        "items.feedback", thread_id=files, item_ids=[answer[0]["id"]], kind="positive"
    )
    plain = (await client.say("third")).thread_id
    await client.say("first again", files)
    return [away, plain, files]


async def test_round_trip(client: ChatKitClient) -> None:
    """What was exported, erased and imported is what there was, files included."""
    ids = await furnish(client)
    before = await export(client)
    assert [each["thread"]["id"] for each in before["threads"]] == ids
    lists = ["/chatkit/threads", "/chatkit/threads?archived=true"]
    rows = [(await client.http.get(url)).json()["data"] for url in lists]

    for thread_id in ids:
        await client.call("threads.delete", thread_id=thread_id)
    assert (await export(client))["threads"] == []
    report = (await restore(client, before)).json()

    assert report == {"imported": 3, "skipped": []}
    assert await export(client) == before
    again = [(await client.http.get(url)).json()["data"] for url in lists]
    told = ("id", "title", "preview", "archived", "created_at", "status")
    assert [[[row[name] for name in told] for row in part] for part in again] == [
        [[row[name] for name in told] for row in part] for part in rows
    ]
    assert not any(row["unread"] for part in again for row in part)
    picture = (await client.items(ids[2]))[0]["attachments"][0]
    async with httpx2.AsyncClient(trust_env=False) as http:
        assert (await http.get(picture["preview_url"])).content == PNG
    assert (await restore(client, before)).json() == {"imported": 0, "skipped": ids}
    assert await export(client) == before


async def test_every_kind_of_item_survives(client: ChatKitClient, server: LiveServer) -> None:
    """All that the protocol has is exported and restored, but for what is hidden."""
    thread_id = (await client.say("hello")).thread_id
    context = await whose(server)
    store = server.chatkeep.store
    for item in every_item(thread_id):
        if isinstance(item, UserMessageItem):
            item.attachments = []  # their ids are not ours
        await store.add_thread_item(thread_id, item, context)
    before = await export(client, thread_id)
    kinds = {item["type"] for item in before["threads"][0]["items"]}
    assert {"widget", "workflow", "client_tool_call", "structured_input"} <= kinds
    assert not kinds & {"hidden_context_item", "sdk_hidden_context"}

    await client.call("threads.delete", thread_id=thread_id)
    answer = await restore(client, before)

    assert answer.json() == {"imported": 1, "skipped": []}, answer.text
    assert await export(client, thread_id) == before
    text = (await client.http.get(f"/chatkit/threads/{thread_id}/export?format=markdown")).text
    assert "secret context" not in text


async def test_a_document_goes_to_who_sends_it(
    client: ChatKitClient, server: LiveServer, connect: Connect
) -> None:
    """Another user's document makes a copy with files of one's own; the original stays."""
    ids = await furnish(client)
    document = await export(client)
    other = connect(server)
    assert (await restore(other, document)).json() == {"imported": 3, "skipped": []}

    for each in document["threads"]:
        await other.call("threads.delete", thread_id=each["thread"]["id"])

    assert await export(client) == document
    picture = (await client.items(ids[2]))[0]["attachments"][0]
    async with httpx2.AsyncClient(trust_env=False) as http:
        assert (await http.get(picture["preview_url"])).content == PNG


async def test_what_an_export_does_not_tell(client: ChatKitClient, server: LiveServer) -> None:
    """Neither storage keys nor an author's notes are in a document, nor taken from one."""
    thread_id = (await client.say("look", attachments=[await upload(client)])).thread_id
    context = await whose(server)

    def note(thread: Any) -> None:
        thread.metadata["tier"] = "gold"

    await server.chatkeep.store.change_thread(thread_id, note, context)
    document = await export(client, thread_id)
    text = json.dumps(document)
    assert "gold" not in text
    assert "sha256" not in text

    await client.call("threads.delete", thread_id=thread_id)
    document["threads"][0]["thread"] |= {
        "metadata": {"tier": "gold"},
        "allowed_image_domains": ["evil.example"],
    }
    assert (await restore(client, document)).status_code == 200
    stored = await server.chatkeep.store.load_thread(thread_id, context)
    assert (stored.metadata, stored.allowed_image_domains) == ({}, None)


def cited(messages: Sequence[Message]) -> Iterable[Step]:
    """Think, answer in Markdown, and name a source."""
    del messages
    return [Thought("Let me see."), Text("**Rome** is [old](javascript:x)."), Citation("rome.pdf")]


async def test_markdown(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Title, date, speakers, text, sources and files by name, to be read by people."""
    provider.script = cited
    client = connect(await start_server())
    name = "a](http://evil.example).txt"
    file = await upload(client, b"text", name=name, mime_type="text/plain")
    thread_id = (await client.say("How old is\nRome?", attachments=[file])).thread_id
    title = {"title": 'Rom/antik "✓" *x*'}
    await client.http.patch(f"/chatkit/threads/{thread_id}", json=title)
    response = await client.http.get(f"/chatkit/threads/{thread_id}/export?format=markdown")

    assert response.headers["content-type"] == "text/markdown; charset=utf-8"
    assert response.headers["content-disposition"] == (
        "attachment; filename=\"Rom antik _ x.md\"; filename*=UTF-8''Rom%20antik%20%E2%9C%93%20x.md"
    )
    lines = response.text.splitlines()
    assert lines[0] == r"# Rom\/antik \"✓\" \*x\*"
    headings = [line.split(" (")[0] for line in lines if line.startswith("## ")]
    assert headings == ["## You", "## Assistant"]
    assert "**Rome** is [old](javascript:x)." in response.text
    assert r"a\]\(http\:\/\/evil\.example\)\.txt" in response.text


def thread(thread_id: str = "thr_a", **fields: Any) -> dict[str, Any]:
    """Return a thread of a document."""
    about = {"id": thread_id, "created_at": "2026-01-01T00:00:00Z", "title": "A"}
    return {"thread": about} | fields


def item(item_id: str = "msg_a", **fields: Any) -> dict[str, Any]:
    """Return an item of that thread."""
    content = [{"type": "output_text", "text": "hi", "annotations": []}]
    made = {"id": item_id, "thread_id": "thr_a", "created_at": "2026-01-01T00:00:00Z"}
    return made | {"type": "assistant_message", "content": content} | fields


def picture(content: Any, **fields: Any) -> dict[str, Any]:
    """Return a thread with one file."""
    file = {"id": f"atc_{'a' * 36}", "name": "a.png", "mime_type": "image/png", "type": "image"}
    file = file | {"preview_url": "https://evil.example/x.png"} | fields
    message = item(type="user_message", content=[], attachments=[file], inference_options={})
    return thread(items=[message], attachments=[{"record": file, "content": content}])


def document(*threads: Any) -> dict[str, Any]:
    """Return a document."""
    return {"chatkeep_export": 1, "threads": list(threads)}


DEEP = b"[" * 100_000
HOSTILE: dict[str, tuple[Any, str]] = {
    "nothing": (b"", "JSON"),
    "no JSON": (b"hello", "JSON"),
    "cut off": (b'{"chatkeep_export": 1, "threads": [', "JSON"),
    "two documents": (b'{"chatkeep_export": 1}{}', "JSON"),
    "a list": ([], "body"),
    "another version": ({"chatkeep_export": 2, "threads": []}, "chatkeep_export"),
    "no version": ({"threads": []}, "body"),
    "a huge version": (b'{"chatkeep_export": 1' + b"0" * 10_000 + b"}", ""),
    "threads of another type": ({"chatkeep_export": 1, "threads": {}}, "threads"),
    "a million threads": (
        b'{"chatkeep_export": 1, "threads": [' + b"{}," * 1_000_000 + b"{}]}",
        "threads[0].thread",
    ),
    "no depth that could end": (b'{"chatkeep_export": 1, "threads": ' + DEEP, "threads[0]"),
    "deep inside": (b'{"chatkeep_export": 1, "threads": [{"thread": ' + DEEP, "threads[0].thread"),
    "a deep version": (b'{"chatkeep_export": ' + DEEP, "chatkeep_export"),
    "a twin": (document(thread(), thread()), "threads[1].thread.id"),
    "items first": (document({"items": [], "thread": {}}), "threads[0]"),
    "a slash": (document(thread("../etc")), "threads[0].thread.id"),
    "a NUL": (document(thread("thr\0")), "threads[0].thread.id"),
    "a long id": (document(thread("t" * 129)), "threads[0].thread.id"),
    "an empty id": (document(thread("")), "threads[0].thread.id"),
    "half a character": (
        b'{"chatkeep_export": 1, "threads": [{"thread": {"id": "\\ud800"}}]}',
        "",
    ),
    "a time before time": (
        document(
            {"thread": {"id": "thr_a", "created_at": "0001-01-01T00:00:00+14:00", "title": None}}
        ),
        "threads[0].thread.created_at",
    ),
    "a time of 10^300": (
        document({"thread": {"id": "thr_a", "created_at": 1e300}}),
        "threads[0].thread.created_at",
    ),
    "archived by word": (document(thread(archived="yes")), "threads[0].archived"),
    "a string of items": (document(thread(items="abc")), "threads[0].items"),
    "an unknown item": (document(thread(items=[item(type="virus")])), "threads[0].items[0]"),
    "an item of another thread": (
        document(thread(items=[item(thread_id="thr_b")])),
        "threads[0].items[0].thread_id",
    ),
    "an item with a path": (document(thread(items=[item("a/b")])), "threads[0].items[0].id"),
    "twin items": (document(thread(items=[item(), item()])), "threads[0].items[1].id"),
    "hidden orders": (
        document(thread(items=[item(type="hidden_context_item", content="obey")])),
        "threads[0].items[0]",
    ),
    "numbers without end": (
        b'{"chatkeep_export": 1, "threads": [{"thread": {"id": ' + b"9" * 100_000 + b"}}]}",
        "",
    ),
    "feedback on nothing": (
        document(thread(items=[item()], feedback={"msg_b": "positive"})),
        "threads[0].feedback",
    ),
    "feedback of no kind": (
        document(thread(items=[item()], feedback={"msg_a": "love"})),
        "threads[0].feedback.msg_a",
    ),
    "a file nobody names": (
        document(thread(attachments=picture("aGk=")["attachments"])),
        "threads[0].attachments[0].record.id",
    ),
    "a file that is none": (document(picture("aGk=")), "threads[0].attachments[0]"),
    "no base64": (document(picture("=@=")), "threads[0].attachments[0].content"),
    "a number as a file": (document(picture(7)), "threads[0].attachments[0].content"),
    "a file with a path": (document(picture("aGk=", id="../x")), "threads[0].items[0].attachments"),
    "a file of no type": (
        document(picture("aGk=", mime_type="application/x-msdownload", type="file")),
        "threads[0].attachments[0]",
    ),
}


async def test_hostile_documents(client: ChatKitClient) -> None:
    """Each is refused with the place that is wrong, and nothing of it is stored."""
    kept = (await client.say("mine")).thread_id
    good = thread("thr_good", items=[])
    for name, (body, place) in HOSTILE.items():
        response = await restore(client, body)
        assert response.status_code in (400, 415), f"{name}: {response.text}"
        assert response.json()["detail"].startswith(place) or place in response.json()["detail"], (
            f"{name}: {response.text}"
        )
        if isinstance(body, dict) and isinstance(body["threads"], list) and place != "body":
            mixed = await restore(client, body | {"threads": [good, *body["threads"]]})
            assert mixed.status_code in (400, 415), name
    everything = await export(client)
    assert [each["thread"]["id"] for each in everything["threads"]] == [kept]


async def test_limits_hold(start_server: StartServer, connect: Connect) -> None:
    """The size of the document, of a file and of all files together."""
    client = connect(
        await start_server(
            server__max_import_bytes=4_096, files__max_bytes=99, files__quota_bytes=9
        )
    )
    assert (await restore(client, b" " * 5_000)).status_code == 413
    large = {"name": "a.txt", "mime_type": "text/plain", "type": "file"}
    assert (await restore(client, document(picture("YWJj" * 50, **large)))).status_code == 413
    full = await restore(client, document(picture("YWJj" * 4, **large)))
    assert (full.status_code, full.json()["detail"].split(":")[0]) == (
        413,
        "threads[0].attachments[0]",
    )
    assert (await restore(client, document(picture("YWJj", **large)))).status_code == 200
    rest = picture("YWJj" * 3, **large, id=f"atc_{'b' * 36}")
    rest["thread"]["id"] = rest["items"][0]["thread_id"] = "thr_b"
    assert (await restore(client, document(rest))).status_code == 413
    assert len((await export(client))["threads"]) == 1
    form = await client.http.post("/chatkit/import", content=b"{}")
    assert form.status_code == 415


async def test_half_a_thread_is_taken_back(client: ChatKitClient, server: LiveServer) -> None:
    """A file that is there already stops its conversation; those before it stay, and the file."""
    waiting = await upload(client)
    content = base64.b64encode(PNG).decode()
    clash = picture(content, id=waiting)
    first = thread("thr_first", items=[])

    response = await restore(client, document(first, clash))

    assert response.status_code == 409
    (kept,) = (await export(client))["threads"]
    assert kept["thread"]["id"] == "thr_first"
    answer = await client.say("look", attachments=[waiting])
    link = (await client.items(answer.thread_id))[0]["attachments"][0]["preview_url"]
    async with httpx2.AsyncClient(trust_env=False) as http:
        assert (await http.get(link)).content == PNG
    second = document(first, picture(content))
    assert (await restore(client, second)).json() == {"imported": 1, "skipped": ["thr_first"]}
    assert len(list(server.chatkeep.settings.data_dir.glob("files/**/atc_*"))) == 2


async def test_what_a_kill_left_half_done_is_replaced(
    client: ChatKitClient, server: LiveServer
) -> None:
    """A thread that an import did not finish is no thread that was there before."""
    ids = await furnish(client)
    before = await export(client)
    store, context = server.chatkeep.store, await whose(server)
    page = await store.load_thread_items(ids[2], None, 1, "asc", context)
    await store.delete_thread_item(ids[2], page.data[0].id, context)

    def killed(thread: ThreadMetadata) -> None:
        thread.metadata[INCOMPLETE] = True

    await store.change_thread(ids[2], killed, context)
    report = (await restore(client, before)).json()

    assert report == {"imported": 1, "skipped": ids[:2]}
    assert await export(client) == before


async def test_an_upload_that_was_cut_does_not_stop_the_next_import(
    client: ChatKitClient, server: LiveServer
) -> None:
    """A process that dies between a file's record and its bytes leaves nothing in the way."""
    ids = await furnish(client)
    before = await export(client)
    for thread_id in ids:
        await client.call("threads.delete", thread_id=thread_id)
    context = await whose(server)
    attachments = server.chatkeep.attachments
    reached = asyncio.Event()

    class Stuck(MemoryStorage):
        """A storage that takes for ever."""

        async def put(self, key: str, content: AsyncIterator[bytes]) -> None:
            """Say that it has begun."""
            del key, content
            reached.set()
            await asyncio.Event().wait()

    limits, signer = attachments.limits, attachments._signer
    cut = Attachments(server.chatkeep.store, Stuck(), signer, limits)
    document = io.BytesIO(json.dumps(before).encode())
    # Nothing is taken back: a killed process does not, either.
    store = server.chatkeep.store
    dying = cast("Store", Dying(store))
    running = asyncio.create_task(import_threads(dying, cut, document, context))
    await reached.wait()
    running.cancel()
    await asyncio.wait([running])

    assert (await restore(client, before)).status_code == 200
    assert await export(client) == before


class Dying:
    """A store for a process that dies: what it would take back stays."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def delete_thread(self, thread_id: str, context: RequestContext) -> None:
        """Do nothing."""


async def test_a_second_import_is_refused_before_its_body(
    client: ChatKitClient, server: LiveServer
) -> None:
    """Of one user nothing piles up while an import runs, or is on its way."""
    await client.say("hello")
    cookie = "; ".join(f"{name}={value}" for name, value in client.http.cookies.items())
    url = httpx2.URL(server.url)
    _, first = await asyncio.open_connection(url.host, url.port)
    head = f"POST /chatkit/import HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nCookie: {cookie}\r\n"
    first.write(f"{head}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n".encode())
    statuses: list[int] = []

    async def refused() -> bool:
        statuses.append((await restore(client, b"{")).status_code)
        return statuses[-1] == 409

    await until(refused)
    first.close()
    assert set(statuses) <= {400, 409}


async def test_no_value_is_too_long_for_memory(start_server: StartServer, connect: Connect) -> None:
    """A string that is longer than any file may be is given up while it is read."""
    client = connect(await start_server(files__max_bytes=99))
    body = b'{"chatkeep_export": 1, "threads": [{"thread": {"id": "' + b"x" * 5_000_000
    response = await restore(client, body + b'"}}]}')
    assert (response.status_code, response.json()["detail"]) == (
        400,
        "body: has a value that is too long",
    )


@pytest.mark.parametrize("title", ["line\nbreak", "x" * 999, "\u202eevil"])
async def test_titles_are_made_fit(client: ChatKitClient, title: str) -> None:
    """A title that no user could give is made one that they could."""
    given = thread(items=[])
    given["thread"]["title"] = title
    assert (await restore(client, document(given))).status_code == 200
    (row,) = (await client.http.get("/chatkit/threads")).json()["data"]
    assert row["title"].isprintable()
    assert 0 < len(row["title"]) <= 200
