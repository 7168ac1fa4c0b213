"""Turns through a real socket: what a user writes, gets and finds again."""

import sqlite3
from collections.abc import Iterable, Sequence

import pytest
from agents import Agent, function_tool

from chatkeep.models.scripted import Call, Fail, Message, Pause, Step, Text, Thought
from chatkeep.protocol import server as protocol
from chatkeep.stores.sql.sqlite import SqliteDatabase
from chatkeep.testing.client import Answer, ChatKitClient, ProblemResponse, user_input
from chatkeep.testing.provider import ScriptedProvider
from support.live import Connect, LiveServer, StartServer
from support.waiting import PATIENCE, until


class Flood:
    """More text than all buffers between a server and its reader hold."""

    size = 300
    piece = "word-" * 2_000
    whole = size * len(piece)

    def __init__(self) -> None:
        self.sent = 0

    def script(self, _: Sequence[Message]) -> Iterable[Step]:
        """Say it, counting."""
        for _ in range(self.size):
            self.sent += 1
            yield Text(self.piece)


async def test_three_messages_get_three_separate_answers(client: ChatKitClient) -> None:
    """Each message has an answer of its own, with an id of its own, in order, after a reload."""
    first = await client.say("one")
    await client.say("two", first.thread_id)
    await client.say("three", first.thread_id)

    items = await client.items(first.thread_id)

    assert [item["type"] for item in items] == ["user_message", "assistant_message"] * 3
    assert len({item["id"] for item in items}) == 6
    texts = await client.texts(first.thread_id)
    assert [text.split("\n")[0] for kind, text in texts if kind == "assistant_message"] == [
        "You said: one",
        "You said: two",
        "You said: three",
    ]


async def test_twenty_five_turns_each_see_the_newest_message(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """The model sees the newest question on every turn, and all earlier ones in order."""
    answer = await client.say("question 1")
    for number in range(2, 26):
        answer = await client.say(f"question {number}", answer.thread_id)
        assert answer.text.startswith(f"You said: question {number}\n")
        assert f"message {number} of" in answer.text

    asked = [m["content"] for m in provider.streamed[-1]["messages"] if m["role"] == "user"]
    assert asked == [f"question {number}" for number in range(1, 26)]


async def test_assistant_history_is_sent_as_plain_strings(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """Chat Completions providers get every earlier message as a string."""
    first = await client.say("one")
    await client.say("two", first.thread_id)

    messages = provider.streamed[-1]["messages"]

    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user"]
    assert all(isinstance(m["content"], str) for m in messages)


async def test_streamed_text_is_the_stored_text_under_one_id(client: ChatKitClient) -> None:
    """Added, updated and done carry the same id of ours, and deltas join to what is stored."""
    answer = await client.say("hello")

    added = next(e["item"]["id"] for e in answer.of("thread.item.added"))
    assert added.startswith("msg_")
    assert {e["item_id"] for e in answer.of("thread.item.updated")} == {added}
    assert answer.of("thread.item.done")[-1]["item"]["id"] == added
    assert answer.streamed == answer.text == (await client.texts(answer.thread_id))[-1][1]


async def test_reasoning_is_shown_as_a_thought_and_stored(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """Reasoning becomes one finished workflow item before the answer; the next turn works."""
    provider.script = lambda _: [Thought("Let me think."), Text("Forty-two.")]

    answer = await client.say("why?")
    again = await client.say("and?", answer.thread_id)

    kinds = [item["type"] for item in await client.items(answer.thread_id)]
    assert kinds == ["user_message", "workflow", "assistant_message"] * 2
    workflow = (await client.items(answer.thread_id))[1]["workflow"]
    assert workflow["tasks"][0]["content"] == "Let me think."
    assert "duration" in workflow["summary"]
    assert again.error is None


async def test_text_tool_text_gives_two_messages_with_two_ids(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """A run with a tool in the middle stores both of its messages."""

    @function_tool
    def clock() -> str:
        """Tell the time."""
        return "noon"

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        if messages[-1].role == "tool":
            return [Text(f"It is {messages[-1].text}.")]
        return [Text("Let me look."), Call("clock")]

    provider.script = script
    client = connect(await start_server(Agent(name="a", instructions="b", tools=[clock])))

    answer = await client.say("what time is it?")

    assert answer.texts == ["Let me look.", "It is noon."]
    ids = [e["item"]["id"] for e in answer.of("thread.item.done")]
    assert len(set(ids)) == len(ids) == 3
    assert (await client.texts(answer.thread_id))[1:] == [
        ("assistant_message", "Let me look."),
        ("assistant_message", "It is noon."),
    ]


async def test_leaving_does_not_stop_an_answer(
    client: ChatKitClient, provider: ScriptedProvider, server: LiveServer
) -> None:
    """A closed connection means nothing: the answer is there afterwards, complete."""
    left = False

    def script(_: Sequence[Message]) -> Iterable[Step]:
        yield Text("one two ")
        while not left:
            yield Pause(0.01)
        yield Text("three")

    provider.script = script
    events = client.stream("threads.create", input=user_input("count"))
    thread_id = (await anext(events))["thread"]["id"]
    async for event in events:
        if event["type"] == "thread.item.updated":
            break
    await events.aclose()
    left = True
    await server.idle()

    assert await client.texts(thread_id) == [
        ("user_message", "count"),
        ("assistant_message", "one two three"),
    ]
    assert provider.closed_early == 0


async def test_leaving_stops_an_answer_where_the_settings_say_so(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """A closed connection closes the provider's socket; what was shown is there afterwards."""
    server = await start_server(turns__on_disconnect="cancel")
    client = connect(server)
    provider.script = lambda _: [Text("one two three "), Text("four " * 20_000, gap=0.02)]
    seen, thread_id = "", ""
    events = client.stream("threads.create", input=user_input("count"))
    async for event in events:
        if event["type"] == "thread.created":
            thread_id = event["thread"]["id"]
        if event["type"] == "thread.item.updated":
            seen += event["update"].get("delta", "")
        if "four" in seen:
            break
    await events.aclose()

    await until(lambda: provider.closed_early)
    await server.idle()

    texts = await client.texts(thread_id)
    assert texts[1][1].startswith(seen)
    assert len(texts[1][1]) < 20_000 * 5
    provider.script = ScriptedProvider().script
    again = await client.say("go on", thread_id)
    assert again.error is None
    assert "stopped the assistant's previous answer" in str(provider.streamed[-1]["messages"])


async def test_leaving_never_stops_what_is_read_with_numbers(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """Who reads numbered events comes back, or stops the turn by saying so."""
    left = False

    def script(_: Sequence[Message]) -> Iterable[Step]:
        yield Text("one ")
        while not left:
            yield Pause(0.01)
        yield Text("two")

    provider.script = script
    client = connect(await start_server(turns__on_disconnect="cancel"))
    async with client.numbered("threads.create", input=user_input("count")) as events:
        await anext(events)
        turn_id = events.turn_id
    assert turn_id
    left = True
    rest = Answer("", [event async for event in client.events(turn_id)])

    assert rest.text == "one two"
    assert (await client.turn(turn_id))["state"] == "completed"


async def test_a_reader_that_takes_nothing_does_not_hold_the_answer_back(
    server: LiveServer, client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """Nobody has to read: the answer is written, and kept, while a reader stands still."""
    flood = Flood()
    provider.script = flood.script
    events = client.stream("threads.create", input=user_input("flood"))
    thread_id = (await anext(events))["thread"]["id"]
    await server.idle()

    assert flood.sent == flood.size
    assert len((await client.texts(thread_id))[1][1]) == flood.whole
    streamed = Answer(thread_id, [event async for event in events]).streamed
    assert len(streamed) == flood.whole


async def test_a_second_message_meanwhile_is_refused(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """One answer at a time: 409, and the running one is not disturbed."""
    second = False

    def script(_: Sequence[Message]) -> Iterable[Step]:
        yield Text("slow ")
        while not second:
            yield Pause(0.01)
        yield Text("but sure")

    provider.script = script
    events = client.stream("threads.create", input=user_input("first"))
    thread_id = (await anext(events))["thread"]["id"]
    turn_id = client.turn_id

    with pytest.raises(ProblemResponse) as refused:
        await client.say("second", thread_id)
    second = True
    rest = [event async for event in events]

    assert refused.value.status == 409
    assert refused.value.body["turn_id"] == turn_id
    assert rest[-1]["type"] == "thread.updated"
    assert len(await client.texts(thread_id)) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_a_failing_provider_gives_one_error_event_and_loses_nothing(
    client: ChatKitClient, provider: ScriptedProvider, status: int
) -> None:
    """The stream ends with one error of ours; the user's message is kept and can be retried."""
    provider.script = lambda _: [Fail(status, "secret provider text sk-123")]
    answer = await client.say("hello")

    assert len(answer.of("error")) == 1
    assert answer.events[-1]["type"] == "error"
    assert answer.error
    assert answer.error["allow_retry"]
    assert "sk-123" not in str(answer.events)
    assert await client.texts(answer.thread_id) == [("user_message", "hello")]

    provider.script = lambda _: [Text("Better now.")]
    retried = client.stream(
        "threads.retry_after_item", thread_id=answer.thread_id, item_id=answer.user_item
    )
    assert [e["type"] async for e in retried][-1] == "thread.item.done"
    assert (await client.texts(answer.thread_id))[1:] == [("assistant_message", "Better now.")]


async def test_a_cut_stream_is_an_interrupted_answer(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """A stream without a finish reason is an error with retry; its text is kept."""
    provider.finish = False
    provider.script = lambda _: [Text("Half an ans")]

    answer = await client.say("hello")

    assert answer.error
    assert "cut off" in answer.error["message"]
    assert (await client.texts(answer.thread_id))[1] == ("assistant_message", "Half an ans")


async def test_a_silent_provider_is_given_up(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """No token within the limit: an error, and the provider's socket is closed."""
    provider.script = lambda _: [Pause(600), Text("late")]
    client = connect(await start_server(models__first_token_timeout=0.3))

    answer = await client.say("hello")

    assert answer.error
    assert "in time" in answer.error["message"]
    await until(lambda: provider.closed_early)


async def test_retry_replaces_the_old_answer_only_when_the_new_one_is_complete(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """A retry that fails leaves the old answer; one that succeeds replaces it."""
    answer = await client.say("hello")
    retry = {"thread_id": answer.thread_id, "item_id": answer.user_item}

    provider.script = lambda _: [Fail(500)]
    failed = [e async for e in client.stream("threads.retry_after_item", **retry)]
    kept = await client.texts(answer.thread_id)
    provider.script = lambda _: [Text("Second answer.")]
    done = [e async for e in client.stream("threads.retry_after_item", **retry)]

    assert failed[-1]["type"] == "error"
    assert kept[1][1].startswith("You said: hello")
    assert done[-1]["type"] == "thread.item.done"
    assert await client.texts(answer.thread_id) == [
        ("user_message", "hello"),
        ("assistant_message", "Second answer."),
    ]


async def test_retry_does_not_show_the_model_its_old_answer(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """The model gets the history up to the message that is answered again."""
    first = await client.say("one")
    await client.say("two", first.thread_id)
    retry = client.stream(
        "threads.retry_after_item", thread_id=first.thread_id, item_id=first.user_item
    )
    _ = [event async for event in retry]

    sent = [m["content"] for m in provider.streamed[-1]["messages"] if m["role"] != "system"]
    assert sent == ["one"]
    assert len(await client.texts(first.thread_id)) == 2


async def test_two_browsers_do_not_see_each_other(server: LiveServer, connect: Connect) -> None:
    """A foreign thread behaves exactly like an unknown one, in every request."""
    alice, bob = connect(server), connect(server)
    answer = await alice.say("my secret")
    item = answer.user_item
    requests = [
        ("threads.get_by_id", {}),
        ("items.list", {}),
        ("threads.update", {"title": "mine"}),
        ("threads.add_user_message", {"input": user_input("hi")}),
        ("threads.retry_after_item", {"item_id": item}),
        ("threads.add_client_tool_output", {"result": 1}),
        ("threads.add_structured_input", {"item_id": item, "input": {"answers": {}}}),
        ("items.feedback", {"item_ids": [item], "kind": "positive"}),
        ("threads.custom_action", {"action": {"type": "x", "payload": 1}}),
    ]
    for type_, params in requests:
        refused = []
        for thread_id in (answer.thread_id, "thr_unknown"):
            with pytest.raises(ProblemResponse) as problem:
                await bob.call(type_, thread_id=thread_id, **params)
            body = problem.value.body
            refused.append({k: v for k, v in body.items() if k != "request_id"})
        assert refused[0] == refused[1], type_
        assert refused[0]["status"] == 404, type_

    await bob.call("threads.delete", thread_id=answer.thread_id)
    assert (await bob.call("threads.list"))["data"] == []
    assert len(await alice.texts(answer.thread_id)) == 2


async def test_the_model_can_be_chosen_from_the_list_only(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """An offered model answers; another one is refused before anything is stored."""
    answer = await client.say("hello", inference_options={"model": "tour"})
    with pytest.raises(ProblemResponse) as refused:
        await client.say("hello", inference_options={"model": "gpt-99"})

    assert "tour" in answer.text
    assert provider.streamed == []
    assert refused.value.status == 400
    assert len((await client.call("threads.list"))["data"]) == 1


async def test_titles_come_from_the_model_and_never_over_the_users(
    start_server: StartServer,
    connect: Connect,
    provider: ScriptedProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread is named after its first answer, once, unless its user has named it."""

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        if "title" in messages[0].text:
            return [Text('"A Short Title."')]
        return [Text("An answer.")]

    provider.script = script
    monkeypatch.setattr(protocol, "_TITLE_SECONDS", PATIENCE)
    client = connect(await start_server(models__titles="model"))

    answer = await client.say("Tell me something")
    await client.call("threads.update", thread_id=answer.thread_id, title="Mine")
    later = await client.say("More", answer.thread_id)

    assert answer.of("thread.updated")[0]["thread"]["title"] == "A Short Title"
    assert later.of("thread.updated") == []
    listed = (await client.call("threads.list"))["data"]
    assert [thread["title"] for thread in listed] == ["Mine"]
    assert len(provider.streamed) == 2


async def test_conversations_survive_a_restart(start_server: StartServer, connect: Connect) -> None:
    """A new process with the same data directory serves the same browser its threads."""
    first = await start_server()
    client = connect(first)
    answer = await client.say("remember me")
    cookies = client.http.cookies

    other = connect(await start_server())
    other.http.cookies.update(cookies)

    assert await other.texts(answer.thread_id) == await client.texts(answer.thread_id)


async def test_an_emoji_cut_in_two_is_whole_everywhere(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """Half a surrogate in text, thoughts or a title costs no answer and no later turn."""
    provider.script = lambda _: [Thought("\ud83d"), Text("one \ud83d"), Text("\ude00 two \ud83d")]
    answer = await client.say("hello")
    provider.script = ScriptedProvider().script
    again = await client.say("more", answer.thread_id)

    assert answer.error is None
    assert "one 😀 two" in answer.text
    assert again.error is None


async def test_leaving_after_the_answer_is_complete_is_no_interruption(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """A reader that leaves while the title is awaited leaves a complete, named thread."""

    def script(messages: Sequence[Message]) -> Iterable[Step]:
        if "title" in messages[0].text:
            return [Pause(600), Text("late")]
        return [Text("Done.")]

    provider.script = script
    server = await start_server(models__titles="model")
    client = connect(server)
    events = client.stream("threads.create", input=user_input("my question"))
    thread_id = ""
    async for event in events:
        thread_id = thread_id or event["thread"]["id"]
        if event["type"] == "thread.item.done" and event["item"]["type"] == "assistant_message":
            break
    await events.aclose()

    await server.idle()

    assert (await client.call("threads.list"))["data"][0]["title"] == "my question"
    await client.say("next", thread_id)
    assert "interrupted" not in str(provider.streamed[-1]["messages"])


async def test_a_stopped_first_answer_has_a_name(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """A thread whose first answer was stopped is named after its question."""
    provider.script = lambda _: [Text("word " * 20_000, gap=0.02)]
    events = client.stream("threads.create", input=user_input("my question"))
    async for event in events:
        if event["type"] == "thread.item.updated":
            break
    assert client.turn_id
    stopped = await client.cancel(client.turn_id)

    assert stopped["state"] == "cancelled"
    assert (await client.call("threads.list"))["data"][0]["title"] == "my question"


async def test_a_stop_behind_a_whole_answer_changes_nothing(
    start_server: StartServer, connect: Connect, provider: ScriptedProvider
) -> None:
    """The turn still waits for a title then; the model must not think that it was cut off."""

    def script(messages: Sequence[Message]) -> list[Step]:
        naming = "Write a title" in str(messages)
        return [Pause(60)] if naming else [Text("the answer")]

    provider.script = script
    client = connect(await start_server(models__titles="model"))
    events = client.stream("threads.create", input=user_input("my question"))
    thread_id = None
    async for event in events:
        thread_id = thread_id or event["thread"]["id"]
        if event["type"] == "thread.item.done" and event["item"]["type"] == "assistant_message":
            break
    assert client.turn_id

    stopped = await client.cancel(client.turn_id)

    assert (stopped["state"], stopped["reason"]) == ("completed", None)
    assert (await client.texts(thread_id))[-1] == ("assistant_message", "the answer")
    await client.say("next", thread_id)
    assert "before it was complete" not in str(provider.streamed[-1]["messages"])


async def test_deleting_a_thread_stops_its_answer(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """The provider's socket is closed, and nothing of the thread is left."""
    provider.script = lambda _: [Text("word " * 20_000, gap=0.02)]
    events = client.stream("threads.create", input=user_input("long"))
    thread_id = (await anext(events))["thread"]["id"]
    async for event in events:
        if event["type"] == "thread.item.updated":
            break
    await client.call("threads.delete", thread_id=thread_id)
    rest = [event async for event in events]

    await until(lambda: provider.closed_early)
    assert len(rest) < 20_000
    assert (await client.call("threads.list"))["data"] == []


async def test_a_failed_store_before_the_first_event_is_a_problem(
    start_server: StartServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database is locked nothing is acknowledged: 503, not a broken stream."""
    # What SQLite waits for a lock by itself, six times.
    monkeypatch.setitem(SqliteDatabase.__init__.__kwdefaults__, "busy_timeout", 0.05)
    server = await start_server()
    client = connect(server)
    await client.say("hello")
    path = server.chatkeep.settings.data_dir / "chatkeep.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(ProblemResponse) as refused:
            await client.say("while locked")
    finally:
        other.execute("ROLLBACK")
        other.close()

    assert refused.value.status == 503
    assert len((await client.call("threads.list"))["data"]) == 1


@pytest.mark.parametrize("title", ["", "x" * 201, "two\nlines", "over\u202eride"])
async def test_titles_are_bounded(client: ChatKitClient, title: str) -> None:
    """A title is a line of at most 200 printable characters."""
    answer = await client.say("hello")
    with pytest.raises(ProblemResponse) as refused:
        await client.call("threads.update", thread_id=answer.thread_id, title=title)

    assert refused.value.status == 400


async def test_long_thoughts_do_not_flood_the_wire(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """Thoughts of many tokens arrive whole, in a bounded number of bytes."""
    provider.script = lambda _: [*[Thought("thinking ")] * 2000, Text("Done.")]
    answer = await client.say("why?")

    size = len(str(answer.events))
    done = next(e for e in answer.of("thread.item.done") if e["item"]["type"] == "workflow")
    assert len(done["item"]["workflow"]["tasks"][0]["content"]) == 9 * 2000
    assert size < 30 * 9 * 2000
