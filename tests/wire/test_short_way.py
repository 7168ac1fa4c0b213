"""Answers that go straight to the turn, beside the same ones through the Agents SDK.

Readers must not be able to tell which way an answer came, and what is stored must be the same.
"""

import asyncio
import re
from itertools import groupby
from typing import Any

import pytest

from chatkeep.models.direct import Direct, Hand
from support.played import NAMES, Play, Played
from support.replay import cases

DELTA = "assistant_message.content_part.text_delta"
FAILING = frozenset({"busy", "cut", "down", "error", "garbage"})
VARIES = frozenset({"id", "item_id", "thread_id", "created_at", "duration"})


def told(value: Any) -> Any:
    """Return a value without what differs from one turn to the next."""
    if isinstance(value, dict):
        return {name: told(within) for name, within in value.items() if name not in VARIES}
    if isinstance(value, str):
        return re.sub(r"127\.0\.0\.1:\d+", "", value)  # where the provider is played
    return [told(within) for within in value] if isinstance(value, list) else value


def place(event: dict[str, Any]) -> object:
    """Return what text an event is a piece of; for any other event something of its own."""
    update = event.get("update") or {}
    if update.get("type") != DELTA:
        return id(event)
    return event["item_id"], update["content_index"]


def joined(events: list[dict[str, Any]]) -> list[Any]:
    """Return events with the pieces of each text as one: where they are cut is no matter."""
    found = []
    for _, group in groupby(events, place):
        first, *more = group
        if more:
            pieces = [each["update"]["delta"] for each in (first, *more)]
            first = {**first, "update": {**first["update"], "delta": "".join(pieces)}}
        found.append(told(first))
    return found


async def played_case(played: Played, case: str) -> tuple[list[Any], list[Any]]:
    """Return what a reader gets of a case, and what is stored then."""
    answer = await played.client.say(f"[{case}] please")
    return joined(answer.events), told(await played.client.items(answer.thread_id))


async def all_cases(played: Played, name: str) -> dict[str, tuple[list[Any], list[Any]]]:
    """Return that of all cases of a provider."""
    await played.client.say("[text] please")  # from now on it is one user
    failing = [case for case in cases(name) if case in FAILING]
    async with asyncio.TaskGroup() as group:
        tasks = {
            case: group.create_task(played_case(played, case))
            for case in cases(name)
            if case not in failing
        }
    found = {case: task.result() for case, task in tasks.items()}
    for case in failing:
        # An endpoint that fails too often in a row is left alone.
        await played.client.say("[text] please")
        found[case] = await played_case(played, case)
    return found


@pytest.mark.parametrize("name", NAMES)
async def test_both_ways_are_one(play: Play, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same events and items, whatever the provider sends."""
    handed: list[Hand] = []
    of = Direct.of

    def noted(self: Direct, input: object) -> Hand | None:
        hand = of(self, input)
        handed.extend([hand] if hand else [])
        return hand

    monkeypatch.setattr(Direct, "of", noted)
    straight = await all_cases(await play(name), name)
    assert any(hand.spoken for hand in handed)

    monkeypatch.setattr(Direct, "of", lambda *_: None)
    through = await all_cases(await play(name), name)
    for case, (events, items) in through.items():
        assert straight[case] == (events, items), case
