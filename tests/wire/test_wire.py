"""The bytes on the wire: requests as clients send them, answers to the letter.

The golden files hold whole responses with ids and times replaced, and the pieces of a text joined:
how many of them come as one event depends on how they were read from the provider. To write them
anew after a deliberate change: `CHATKEEP_TEST_WRITE_GOLDEN=1`, and read the difference.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chatkit.types import ThreadStreamEvent
from pydantic import TypeAdapter

from chatkeep.models.scripted import Fail, Text, Thought
from chatkeep.testing.client import ChatKitClient, user_input
from chatkeep.testing.provider import ScriptedProvider

GOLDEN = Path(__file__).parent / "golden"
WRITE = bool(os.environ.get("CHATKEEP_TEST_WRITE_GOLDEN"))
_EVENT: TypeAdapter[Any] = TypeAdapter(ThreadStreamEvent)


_PIECES = re.compile(
    r'((?:data: )?\{"type":"thread\.item\.updated","item_id":"[^"]+","update":\{"type":'
    r'"assistant_message\.content_part\.text_delta","content_index":\d+,"delta":")'
    r'((?:[^"\\]|\\.)*)"\}\}\n+\1'
)


def joined(text: str) -> str:
    """Return the events with the pieces of a text that follow each other as one."""
    before = None
    while text != before:
        before, text = text, _PIECES.sub(r"\1\2", text)
    return text


class Normaliser:
    """Replaces ids by their order of appearance and times by a word."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """Return the text without what differs from run to run."""
        text = re.sub(r"\b([a-z]+)_[0-9a-hjkmnp-tv-z]{36}\b", self._name, text)
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text)
        return re.sub(r"\bafter_[\w-]+", "<cursor>", text)

    def _name(self, match: re.Match[str]) -> str:
        prefix = match.group(1)
        number = sum(name.startswith(f"<{prefix}-") for name in self._seen.values()) + 1
        return self._seen.setdefault(match.group(), f"<{prefix}-{number}>")


@pytest.fixture
def matches() -> Callable[[str, bytes], None]:
    """Compare a response with its golden file."""
    normalise = Normaliser()

    def compare(name: str, body: bytes) -> None:
        text = joined(normalise(body.decode()))
        path = GOLDEN / name
        if WRITE:
            path.write_text(text)
        assert text == path.read_text()

    return compare


async def post(client: ChatKitClient, type: str, accept: str = "*/*", **params: Any) -> bytes:
    """Send a request and return the whole body."""
    response = await client.http.post(
        "/chatkit", json={"type": type, "params": params}, headers={"Accept": accept}
    )
    return response.content


async def test_a_conversation_to_the_letter(
    client: ChatKitClient, provider: ScriptedProvider, matches: Callable[[str, bytes], None]
) -> None:
    """Create, go on, retry, list, rename and delete: each response is the golden one."""
    provider.script = lambda _: [Thought("Hm."), Text("Hello “you” 🙂\nline")]
    created = await post(client, "threads.create", input=user_input("Hi there"))
    matches("threads.create.sse", created)
    events = [json.loads(line[6:]) for line in created.decode().split("\n\n") if line]
    thread = events[0]["thread"]["id"]
    message = events[1]["item"]["id"]

    provider.script = lambda _: [Text("Half"), Fail()]
    followed = await post(
        client, "threads.add_user_message", thread_id=thread, input=user_input("More")
    )
    matches("threads.add_user_message.failed.sse", followed)
    provider.script = lambda _: [Text("Again")]
    retried = await post(client, "threads.retry_after_item", thread_id=thread, item_id=message)
    matches("threads.retry_after_item.sse", retried)
    for name, params in {
        "threads.get_by_id": {"thread_id": thread},
        "threads.list": {},
        "items.list": {"thread_id": thread, "limit": 1},
        "threads.update": {"thread_id": thread, "title": "New title"},
        "items.feedback": {"thread_id": thread, "item_ids": [message], "kind": "positive"},
        "threads.delete": {"thread_id": thread},
    }.items():
        matches(f"{name}.json", await post(client, name, **params))


async def test_every_event_is_serialised_as_the_sdk_does(client: ChatKitClient) -> None:
    """Framing and JSON of each event equal what the SDK writes for the same event."""
    body = await post(client, "threads.create", input=user_input("Hi 🙂"))
    frames = body.split(b"\n\n")

    assert frames[-1] == b""
    for frame in frames[:-1]:
        event = _EVENT.validate_json(frame.removeprefix(b"data: "))
        dumped = event.model_dump_json(
            by_alias=True, exclude_none=True, context={"exclude_metadata": True}
        )
        assert frame == b"data: " + dumped.encode()


async def test_ndjson_carries_the_same_events(
    client: ChatKitClient, matches: Callable[[str, bytes], None], provider: ScriptedProvider
) -> None:
    """Asked for NDJSON, each line is one event."""
    provider.script = lambda _: [Text("Hello\n\nyou")]
    body = await post(
        client, "threads.create", accept="application/x-ndjson", input=user_input("Hi")
    )

    matches("threads.create.ndjson", body)
    assert all(json.loads(line)["type"] for line in body.decode().splitlines())


async def test_stream_headers(client: ChatKitClient) -> None:
    """Streams are marked so that no cache keeps and no proxy buffers them."""
    response = await client.http.post(
        "/chatkit", json={"type": "threads.create", "params": {"input": user_input("Hi")}}
    )

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert "content-length" not in response.headers


BAD_REQUESTS: dict[str, tuple[int, dict[str, Any]]] = {
    "unknown type": (400, {"content": b'{"type": "nope"}'}),
    "no JSON": (400, {"content": b"{"}),
    "empty": (400, {"content": b""}),
    "list": (400, {"content": b"[]"}),
    "lone surrogate": (
        400,
        {"content": rb'{"type": "threads.list", "params": {"after": "\ud800"}}'},
    ),
    "invalid UTF-8": (400, {"content": b'{"type": "threads.list\xff"}'}),
    "deep": (400, {"content": b"[" * 100_000}),
    "missing params": (400, {"json": {"type": "threads.get_by_id"}}),
    "empty message": (
        400,
        {"json": {"type": "threads.create", "params": {"input": user_input("x", content=[])}}},
    ),
    "negative limit": (400, {"json": {"type": "threads.list", "params": {"limit": -1}}}),
    "unknown cursor": (404, {"json": {"type": "threads.list", "params": {"after": "thr_x"}}}),
    "unknown thread": (
        404,
        {"json": {"type": "threads.get_by_id", "params": {"thread_id": "thr_x"}}},
    ),
    "unknown attachment": (
        404,
        {
            "json": {
                "type": "threads.create",
                "params": {"input": user_input("x", attachments=["atc_x"])},
            }
        },
    ),
    "attachment of a type that is not taken": (
        415,
        {
            "json": {
                "type": "attachments.create",
                "params": {"name": "a", "size": 1, "mime_type": "application/x-msdownload"},
            }
        },
    ),
    "dictation": (
        501,
        {
            "json": {
                "type": "input.transcribe",
                "params": {"audio_base64": "", "mime_type": "audio/webm"},
            }
        },
    ),
    "too large": (413, {"content": b'{"type": "' + b"x" * 2_000_000 + b'"}'}),
    "form": (415, {"content": b"a=b", "headers": {"Content-Type": "text/plain"}}),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
async def test_refusals_are_problem_documents(client: ChatKitClient, case: str) -> None:
    """What cannot be served is refused before a stream begins, says why, and stores nothing."""
    status, request = BAD_REQUESTS[case]
    headers = {"Content-Type": "application/json"} | request.pop("headers", {})

    response = await client.http.post("/chatkit", headers=headers, **request)

    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:chatkeep:problem:")
    assert body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    assert "x" * 100 not in response.text
    assert (await client.call("threads.list"))["data"] == []


async def test_a_huge_limit_is_clamped(client: ChatKitClient) -> None:
    """Nobody gets a page of a billion rows."""
    answer = await client.say("Hi")
    page = await client.call("items.list", thread_id=answer.thread_id, limit=10**9)

    assert len(page["data"]) == 2
