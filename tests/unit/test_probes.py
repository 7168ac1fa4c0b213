"""Is it alive, and may it get traffic."""

import asyncio
import json
from typing import Any

import pytest
from starlette.responses import Response

from chatkeep.errors import StoreUnavailableError
from chatkeep.http import probes
from chatkeep.http.probes import Health, Ping


async def good() -> None:
    """Answer."""


async def bad() -> None:
    """Be gone."""
    raise StoreUnavailableError


async def hanging() -> None:
    """Never answer."""
    await asyncio.sleep(60)


def body(response: Response) -> Any:
    """The document."""
    return json.loads(bytes(response.body))


async def test_everything_answers() -> None:
    """200, and every dependency by name."""
    response = await Health({"database": good, "other": good}).ready()
    assert response.status_code == 200
    assert body(response) == {"status": "ok", "dependencies": {"database": "ok", "other": "ok"}}
    assert response.headers["cache-control"] == "no-store"


async def test_nothing_to_ask_is_ready() -> None:
    """A server without dependencies may get traffic."""
    assert (await Health({}).ready()).status_code == 200


@pytest.mark.parametrize("ping", [bad, hanging])
@pytest.mark.usefixtures("instant_time")
async def test_one_that_fails_is_enough(ping: Ping) -> None:
    """503 with the name of what is gone; one that hangs counts as gone."""
    response = await Health({"a": good, "b": ping}).ready()
    assert response.status_code == 503
    assert body(response) == {
        "status": "unavailable",
        "dependencies": {"a": "ok", "b": "unavailable"},
    }


async def test_all_are_asked_at_once(instant_time: asyncio.AbstractEventLoop) -> None:
    """Several that hang take as long as one."""
    started = instant_time.time()
    await Health(dict.fromkeys("abcdef", hanging)).ready()
    assert instant_time.time() - started == pytest.approx(probes._PING_SECONDS)


async def test_a_draining_server_gets_no_traffic() -> None:
    """503 without asking anybody."""
    health = Health({"a": hanging})
    health.draining = True
    response = await health.ready()
    assert response.status_code == 503
    assert body(response) == {"status": "draining", "dependencies": {}}


async def test_it_lives_whatever_is_gone() -> None:
    """A database that is gone, or a drain, is no reason to be killed."""
    health = Health({"a": bad})
    health.draining = True
    assert health.live().status_code == 200
    assert body(health.live()) == {"status": "ok"}


async def test_the_routes(server: Any, client: Any) -> None:
    """`/readyz` and `/health` report the dependencies, `/livez` the process."""
    for path in ("/readyz", "/health"):
        response = await client.http.get(path)
        dependencies = response.json()["dependencies"]
        assert (response.status_code, dependencies) == (200, {"database": "ok", "files": "ok"})
    await server.chatkeep.drain()
    assert (await client.http.get("/readyz")).status_code == 503
    assert (await client.http.get("/livez")).status_code == 200
