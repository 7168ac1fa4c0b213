"""Turns over real sockets: resuming, following, stopping, and one answer for one request."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest

from chatkeep.http import stream as streaming
from chatkeep.models.scripted import Message, Pause, Step, Text
from chatkeep.testing.client import (
    Answer,
    ChatKitClient,
    Event,
    NumberedStream,
    ProblemResponse,
    user_input,
)
from chatkeep.testing.provider import ScriptedProvider
from support.live import Connect, LiveServer, StartServer
from support.waiting import PATIENCE, until

FAR = datetime(2100, 1, 1, tzinfo=UTC)


class Gate:
    """A provider's answer in two halves; the second one waits for the test."""

    def __init__(self, first: str = "one two ", second: str = "three four") -> None:
        self.open = False
        self._halves = first, second

    def script(self, _: Sequence[Message]) -> Iterable[Step]:
        """Say it."""
        yield Text(self._halves[0])
        while not self.open:
            yield Pause(0.01)
        yield Text(self._halves[1])


async def begun(client: ChatKitClient, text: str = "count") -> tuple[str, str, list[Event]]:
    """Send a message; return thread, turn and what came until the first text."""
    async with client.numbered("threads.create", input=user_input(text)) as stream:
        events = []
        async for event in stream:
            events.append(event)
            if event["type"] == "thread.item.updated" and "delta" in event["update"]:
                break
        assert stream.turn_id
        return events[0]["thread"]["id"], stream.turn_id, events


async def rest_of(client: ChatKitClient, turn_id: str, after: int) -> list[Event]:
    """Return a turn's events behind a number, to its end."""
    return [event for _, event in await numbered(client.events(turn_id, after))]


async def numbered(stream: NumberedStream) -> list[tuple[int, Event]]:
    """Return the events of a turn with their numbers, to its end."""
    events = [(stream.number, event) async for event in stream]
    assert stream.ended == "end"
    return events


def whole(events: Iterable[tuple[int, Event]]) -> list[Event]:
    """Return events with the pieces of each text joined, as they may have come in any number."""
    found: list[Event] = []
    for _, event in events:
        before = found[-1] if found else {}
        if "delta" in event.get("update", ()) and "delta" in before.get("update", ()):
            delta = before["update"]["delta"] + event["update"]["delta"]
            found[-1] = event | {"update": event["update"] | {"delta": delta}}
        else:
            found.append(event)
    return found


def text_of(events: list[Event]) -> str:
    """Return the text that events add."""
    return Answer("", events).streamed


async def test_an_answer_is_resumed_at_every_event(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """While it is written and afterwards, behind any number, the text is the uninterrupted one."""
    provider.script = (gate := Gate()).script
    _, turn_id, begin = await begun(client)
    cuts = range(len(begin) + 1)
    reading = [asyncio.create_task(numbered(client.events(turn_id, cut))) for cut in cuts]
    gate.open = True
    rests = await asyncio.gather(*reading)
    live = list(enumerate(begin, 1))
    answer = whole(live + rests[-1])

    assert text_of(answer) == "one two three four"
    assert answer[-1]["type"] == "thread.updated"
    for cut, rest in zip(cuts, rests, strict=True):
        assert whole(live[:cut] + rest) == answer
    live += rests[-1]
    for cut, (number, _) in enumerate(live, 1):
        again = await numbered(client.events(turn_id, number))
        assert whole(live[:cut] + again) == answer
    assert whole(await numbered(client.events(turn_id))) == answer


async def test_numbers_grow_by_one_and_official_clients_see_none(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """With the header each event has an `id:`; without it the bytes are the SDK's."""
    provider.script = lambda _: [Text("Hello")]
    stream = client.numbered("threads.create", input=user_input("Hi"))
    numbers = [number for number, _ in await numbered(stream)]
    plain = await client.http.post(
        "/chatkit", json={"type": "threads.create", "params": {"input": user_input("Hi")}}
    )

    assert numbers == list(range(1, len(numbers) + 1))
    assert all(line.startswith("data: ") for line in plain.text.split("\n\n") if line)
    assert plain.headers["x-chatkeep-turn"].startswith("trn_")


async def test_a_turn_is_found_and_described(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """By its id, and as the turn of its thread while it runs, for a page that was reloaded."""
    provider.script = (gate := Gate()).script
    thread_id, turn_id, _ = await begun(client)
    running = await client.open_turn(thread_id)
    gate.open = True
    await rest_of(client, turn_id, 0)

    assert running
    assert (running["id"], running["state"], running["ended_at"]) == (turn_id, "running", None)
    ended = await client.turn(turn_id)
    assert (ended["thread_id"], ended["state"], ended["reason"]) == (thread_id, "completed", None)
    assert ended["usage"]["requests"] == 1
    assert ended["created_at"] < ended["ended_at"]
    assert await client.open_turn(thread_id) is None


async def test_turns_of_others_are_unknown(
    server: LiveServer, client: ChatKitClient, connect: Connect
) -> None:
    """A foreign turn behaves exactly like one that does not exist, on every route."""
    answer = await client.say("my secret")
    assert client.turn_id
    stranger = connect(server)
    await stranger.say("hello")
    for turn_id, thread_id in [(client.turn_id, answer.thread_id), ("trn_x", "thr_x")]:
        for method, path in [
            ("GET", f"/chatkit/turns/{turn_id}"),
            ("GET", f"/chatkit/turns/{turn_id}/events"),
            ("POST", f"/chatkit/turns/{turn_id}/cancel"),
            ("GET", f"/chatkit/threads/{thread_id}/events"),
            ("GET", f"/chatkit/threads/{thread_id}/turn"),
        ]:
            response = await stranger.http.request(method, path)
            assert response.status_code == 404, path
            assert response.json()["detail"] == "There is nothing with this id."


@pytest.mark.parametrize("after", ["-1", "x", "1.5", str(2**63), "9" * 30, "²"])
async def test_a_number_that_is_none_is_refused(client: ChatKitClient, after: str) -> None:
    """In the query and in the header."""
    await client.say("hello")
    path = f"/chatkit/turns/{client.turn_id}/events"
    response = await client.http.get(path, params={"after": after})
    assert response.status_code == 400
    if after.isascii():
        response = await client.http.get(path, headers={"Last-Event-ID": after})
        assert response.status_code == 400


async def test_events_are_pruned_some_time_after_the_end(
    server: LiveServer, client: ChatKitClient
) -> None:
    """Then the thread has all that is left: 410, and the items as before."""
    answer = await client.say("hello")
    turn_id = client.turn_id
    assert turn_id
    await server.chatkeep.store.prune_turn_events(FAR, 100)

    with pytest.raises(ProblemResponse) as refused:
        await rest_of(client, turn_id, 0)

    assert refused.value.status == 410
    assert (await client.turn(turn_id))["state"] == "completed"
    assert len(await client.items(answer.thread_id)) == 2


async def test_a_stopped_answer(client: ChatKitClient, provider: ScriptedProvider) -> None:
    """The provider's socket is closed, the partial is kept and told, and the model is told, too."""
    provider.script = Gate("one two ").script
    thread_id, turn_id, events = await begun(client)
    reading = asyncio.create_task(rest_of(client, turn_id, len(events)))

    stopped = await client.cancel(turn_id)

    await until(lambda: provider.closed_early)
    assert (stopped["state"], stopped["reason"]) == ("cancelled", "stopped")
    done = [event for event in await reading if event["type"] == "thread.item.done"]
    assert done[-1]["item"]["content"][0]["text"] == "one two "
    assert "error" not in [event["type"] for event in await reading]
    assert await client.texts(thread_id) == [
        ("user_message", "count"),
        ("assistant_message", "one two "),
    ]
    assert await client.cancel(turn_id) == stopped
    assert await client.open_turn(thread_id) is None
    provider.script = ScriptedProvider().script
    await client.say("go on", thread_id)
    assert "The user stopped the assistant's previous answer" in str(provider.streamed[-1])


async def test_a_complete_answer_cannot_be_stopped(client: ChatKitClient) -> None:
    """After the end a stop is no error, and changes nothing."""
    answer = await client.say("hello")
    assert client.turn_id
    items = await client.items(answer.thread_id)

    assert (await client.cancel(client.turn_id))["state"] == "completed"
    assert await client.items(answer.thread_id) == items


async def test_a_key_gets_one_answer_however_often_it_is_sent(
    client: ChatKitClient, provider: ScriptedProvider, server: LiveServer
) -> None:
    """While it is written and after its end: the same turn, from its first event."""
    provider.script = (gate := Gate()).script
    request = {"input": user_input("count")}

    async def send() -> list[Event]:
        stream = client.stream("threads.create", idempotency_key="key", **request)
        return [event async for event in stream]

    await client.call("threads.list")  # the visitor's cookie
    sent = [asyncio.create_task(send()) for _ in range(50)]
    await until(lambda: provider.streamed)
    gate.open = True
    answers = await asyncio.gather(*sent)
    await server.idle()
    answers.append(await send())

    assert {text_of(answer) for answer in answers} == {"one two three four"}
    assert len({answer[0]["thread"]["id"] for answer in answers}) == 1
    assert len((await client.call("threads.list"))["data"]) == 1
    assert len(await client.items(answers[0][0]["thread"]["id"])) == 2
    assert len(provider.streamed) == 1


async def test_a_key_is_for_one_body_and_one_user(
    client: ChatKitClient, connect: Connect, server: LiveServer
) -> None:
    """Another body is refused; another user's key is another key; some are none."""
    first = client.stream("threads.create", idempotency_key="key", input=user_input("one"))
    _ = [event async for event in first]
    turn_id = client.turn_id
    for key, status in [("key", 422), ("", 400), ("x" * 256, 400)]:
        again = client.stream("threads.create", idempotency_key=key, input=user_input("two"))
        with pytest.raises(ProblemResponse) as refused:
            await anext(again)
        assert refused.value.status == status
    other = connect(server)
    theirs = other.stream("threads.create", idempotency_key="key", input=user_input("one"))
    _ = [event async for event in theirs]

    assert other.turn_id != turn_id
    assert len((await client.call("threads.list"))["data"]) == 1


async def test_messages_queue_where_the_settings_say_so(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """The second is answered when the first is, and its model knows the first answer."""
    provider.script = (gate := Gate()).script
    client = connect(await start_server(turns__when_busy="queue"))
    thread_id, _, _ = await begun(client, "first")
    second = client.numbered("threads.add_user_message", thread_id=thread_id, input=user_input("2"))
    third = client.numbered("threads.add_user_message", thread_id=thread_id, input=user_input("3"))
    for stream in (second, third):
        await anext(stream)
        assert stream.turn_id
        assert (await client.turn(stream.turn_id))["state"] == "queued"
    assert third.turn_id
    assert (await client.cancel(third.turn_id))["state"] == "cancelled"
    assert [event async for event in third] == []
    gate.open = True

    async with asyncio.timeout(PATIENCE):
        answer = [event async for event in second]

    assert text_of(answer) == "one two three four"
    assert len(provider.streamed) == 2
    sent = [(m["role"], m["content"]) for m in provider.streamed[-1]["messages"]]
    assert sent[1:] == [("user", "first"), ("assistant", "one two three four"), ("user", "2")]


def answers_in(events: Iterable[Event]) -> int:
    """Return how many messages of the assistant are finished by these events."""
    done = [event["item"]["type"] for event in events if event["type"] == "thread.item.done"]
    return done.count("assistant_message")


async def followed(stream: NumberedStream, answers: int) -> list[tuple[int, Event]]:
    """Read a stream until some answers have ended; return the events with their numbers."""
    got: list[tuple[int, Event]] = []
    async with asyncio.timeout(PATIENCE):
        async for event in stream:
            got.append((stream.number, event))
            if answers_in(each for _, each in got) == answers:
                break
    return got


async def test_a_thread_is_followed_from_a_second_device(
    server: LiveServer, client: ChatKitClient, connect: Connect, provider: ScriptedProvider
) -> None:
    """It joins the running turn, sees the next ones, and goes on behind any event it has."""
    provider.script = (gate := Gate()).script
    thread_id, turn_id, _ = await begun(client)
    other = connect(server)
    other.http.cookies.update(client.http.cookies)
    following = other.follow(thread_id)
    task = asyncio.create_task(followed(following, 2))
    gate.open = True
    await rest_of(client, turn_id, 0)
    await client.say("more", thread_id)
    seen = await task

    assert text_of([event for _, event in seen]) == "one two three four" * 2
    turns = [comment for comment in following.comments if comment.startswith("turn ")]
    assert turns == [f"turn {turn_id}", f"turn {client.turn_id}"]
    numbers = [number for number, _ in seen]
    assert numbers == sorted(set(numbers))
    for place in (0, 4, len(seen) // 2, len(seen) - 3):
        number, _ = seen[place]
        left = answers_in(event for _, event in seen[place + 1 :])
        again = await followed(other.follow(thread_id, number), left)
        events = [event for _, event in seen[: place + 1] + again]
        assert text_of(events) == "one two three four" * 2


async def test_silent_streams_give_signs_of_life(
    client: ChatKitClient, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every route, while nothing happens."""
    monkeypatch.setattr(streaming, "_HEARTBEAT_SECONDS", 0.01)
    provider.script = (gate := Gate()).script
    thread_id, turn_id, events = await begun(client)
    streams = [client.events(turn_id, len(events)), client.follow(thread_id)]
    reading = [asyncio.create_task(anext(aiter(streams[0])))]
    await until(lambda: streams[0].comments.count("") >= 3)
    gate.open = True
    await asyncio.gather(*reading)
    async for event in streams[1]:
        if event["type"] == "thread.updated":
            break
    reading = [asyncio.create_task(anext(aiter(streams[1])))]
    await until(lambda: streams[1].comments.count("") >= 3)
    reading[0].cancel()


async def test_lines_of_json_carry_a_turn_too(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """Whoever asks for NDJSON gets the turn's id, and its events without numbers."""
    provider.script = lambda _: [Text("Hello")]
    response = await client.http.post(
        "/chatkit",
        json={"type": "threads.create", "params": {"input": user_input("Hi")}},
        headers={"Accept": "application/x-ndjson", "X-Chatkeep-Events": "numbered"},
    )
    turn_id = response.headers["x-chatkeep-turn"]

    assert response.headers["content-type"] == "application/x-ndjson"
    lines = [(0, json.loads(line)) for line in response.text.splitlines()]
    assert whole(lines) == whole(await numbered(client.events(turn_id)))


async def test_a_browser_may_read_the_turn(start_server: StartServer, connect: Connect) -> None:
    """A page of another origin sees the header with the turn's id."""
    client = connect(await start_server(server__cors_origins="https://page.example"))
    response = await client.http.post(
        "/chatkit",
        json={"type": "threads.create", "params": {"input": user_input("Hi")}},
        headers={"Origin": "https://page.example"},
    )

    assert "X-Chatkeep-Turn" in response.headers["access-control-expose-headers"]
