"""Editing a message and branching from one: beside the protocol, on the same route."""

from typing import Any

import pytest

from chatkeep.testing.client import Answer, ChatKitClient, ProblemResponse, user_input
from chatkeep.testing.provider import ScriptedProvider
from support.files import PNG, upload


async def ask(client: ChatKitClient, kind: str, **params: Any) -> Answer:
    """Return the answer to one of our own requests."""
    events = [event async for event in client.stream(f"chatkeep.{kind}", **params)]
    answer = Answer(str(params["thread_id"]), events)
    if created := answer.of("thread.created"):
        answer.thread_id = created[0]["thread"]["id"]
    return answer


async def test_an_edited_message_is_answered_in_its_place(
    client: ChatKitClient, provider: ScriptedProvider
) -> None:
    """The message keeps its id and place; what came behind it is gone, and no model sees it."""
    first = await client.say("one")
    second = await client.say("two", first.thread_id)
    await client.say("three", first.thread_id)

    answer = await ask(
        client,
        "edit_message",
        thread_id=first.thread_id,
        item_id=second.user_item,
        input=user_input("two, better"),
    )

    assert answer.text.startswith("You said: two, better")
    (replaced,) = answer.of("thread.item.replaced")
    assert replaced["item"]["id"] == second.user_item
    assert len(answer.of("thread.item.removed")) == 3
    texts = [text.split("\n")[0] for _, text in await client.texts(first.thread_id)]
    assert texts == ["one", "You said: one", "two, better", "You said: two, better"]
    sent = str(provider.requests[-1]["messages"])
    assert "two, better" in sent
    assert "three" not in sent


async def test_a_branch_has_copies_of_what_came_before(client: ChatKitClient) -> None:
    """The first thread stays as it was; the new one has items and files of its own."""
    attachment_id = await upload(client, PNG)
    first = await client.say("look", attachments=[attachment_id])
    second = await client.say("two", first.thread_id)
    before = await client.items(first.thread_id)

    other = await ask(
        client,
        "branch_thread",
        thread_id=first.thread_id,
        item_id=second.user_item,
        input=user_input("another"),
    )

    assert other.thread_id != first.thread_id
    items = await client.items(other.thread_id)
    assert [item["type"] for item in items] == ["user_message", "assistant_message"] * 2
    assert [item["id"] for item in await client.items(first.thread_id)] == [
        item["id"] for item in before
    ]
    assert not {item["id"] for item in items} & {item["id"] for item in before}
    texts = [text.split("\n")[0] for _, text in await client.texts(other.thread_id)]
    assert texts[0] == "look"
    assert texts[2:] == ["another", "You said: another"]
    (copied,) = items[0]["attachments"]
    assert copied["id"] != attachment_id
    await client.call("threads.delete", thread_id=first.thread_id)
    got = await client.http.get(copied["preview_url"])
    assert got.content == PNG


async def test_a_branch_without_a_message_asks_the_same_again(client: ChatKitClient) -> None:
    """The message is copied, and answered in the new thread."""
    first = await client.say("one")
    other = await ask(client, "branch_thread", thread_id=first.thread_id, item_id=first.user_item)
    texts = [text.split("\n")[0] for _, text in await client.texts(other.thread_id)]
    assert texts == ["one", "You said: one"]


@pytest.mark.parametrize("kind", ["edit_message", "branch_thread"])
async def test_only_messages_of_the_user_can_be_named(client: ChatKitClient, kind: str) -> None:
    """An answer cannot be edited; what is not there is not found; what is no request is refused."""
    first = await client.say("one")
    answer = first.of("thread.item.done")[-1]["item"]["id"]
    for item_id, status in ((answer, 400), ("msg_none", 404)):
        with pytest.raises(ProblemResponse) as refused:
            await ask(
                client, kind, thread_id=first.thread_id, item_id=item_id, input=user_input("x")
            )
        assert refused.value.status == status
    with pytest.raises(ProblemResponse) as refused:
        await ask(client, kind, thread_id=first.thread_id)
    assert refused.value.status == 400
