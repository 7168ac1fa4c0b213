"""What operators see of turns: by a command, over HTTP, and in the log."""

import asyncio
import json
from pathlib import Path

import pytest

from chatkeep.models.scripted import Pause, Text
from chatkeep.testing.client import ChatKitClient, user_input
from chatkeep.testing.provider import ScriptedProvider
from support.command import command
from support.live import Connect, LiveServer, StartServer
from support.waiting import until

TOKEN = "0123456789abcdef0123456789abcdef"


async def begun(client: ChatKitClient) -> str:
    """Begin a long answer; return its thread."""
    events = client.stream("threads.create", input=user_input("a private question"))
    thread_id = str((await anext(events))["thread"]["id"])
    await events.aclose()
    return thread_id


async def test_open_and_interrupted_turns_are_listed(
    start_server: StartServer,
    connect: Connect,
    provider: ScriptedProvider,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With owner, age, last event and what for; never with a word of anybody's."""
    provider.script = lambda _: [Text("so "), Pause(3600)]
    server = await start_server(admin__token=TOKEN)
    client = connect(server)
    thread_id = await begun(client)

    async def listed(**query: str) -> list[dict[str, object]]:
        response = await client.http.get(
            "/admin/turns", params=query, headers={"Authorization": f"Bearer {TOKEN}"}
        )
        assert response.status_code == 200
        assert "private" not in response.text
        return list(response.json()["data"])

    await until(listed)
    (turn,) = await listed()
    assert (turn["thread_id"], turn["state"], turn["takeovers"]) == (thread_id, "running", 0)
    assert turn["lease_until"] is not None
    assert await listed(state="interrupted") == []

    monkeypatch.setenv("CHATKEEP_DATA_DIR", str(tmp_path / "data"))
    shown = await asyncio.to_thread(command, "turns", "--json")
    assert json.loads(shown.stdout)["id"] == turn["id"]
    table = await asyncio.to_thread(command, "turns")
    heading, row = table.stdout.splitlines()
    assert heading.split()[:3] == ["turn", "state", "age"]
    assert row.split()[:2] == [turn["id"], "running"]
    assert "private" not in table.stdout

    await server.chatkeep.drain()
    (turn,) = await listed()
    assert (turn["state"], turn["reason"]) == ("interrupted", "shutdown")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": f"bearer {TOKEN}"}, 200),
    ],
)
async def test_only_operators_may_ask(
    start_server: StartServer, connect: Connect, headers: dict[str, str], status: int
) -> None:
    """The token is needed, whoever else one is."""
    client = connect(await start_server(admin__token=TOKEN))
    assert (await client.http.get("/admin/turns", headers=headers)).status_code == status


async def test_without_a_token_there_is_nothing(server: LiveServer, connect: Connect) -> None:
    """The default has no routes for operators."""
    assert (await connect(server).http.get("/admin/turns")).status_code == 404
