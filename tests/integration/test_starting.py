"""What a server has imported when it is ready, and that it is ready when it says so."""

import re
import signal
from http import HTTPStatus
from pathlib import Path

import httpx2

from chatkeep.testing.client import ChatKitClient
from chatkeep.testing.provider import ScriptedProvider
from support.process import ServerProcess

HEAVY = {
    # Parts of the SDKs: tests/unit/test_imports.py shows that they come when they are used.
    *("mcp", "mcp_types", "agents.mcp.util", "agents.sandbox.manifest", "griffe._internal"),
    *("agents.voice", "agents.realtime", "openai.types.beta", "openai.types.realtime"),
    *("openai.types.batch", "openai.types.webhooks"),
    # What only some settings, or some requests, need.
    *("xllamacpp", "numpy", "obstore", "PIL", "asyncpg", "pymongo", "redis", "cryptography"),
    *("markdown_it.main", "rich.text", "watchfiles.main", "sqlalchemy.orm.session"),
}


def imported(log: Path) -> set[str]:
    """Every module that was run, of a process that tells of its imports."""
    return set(re.findall(r"^import time:.*\| +(\S+)$", log.read_text(), re.MULTILINE))


async def test_a_server_that_is_ready_takes_turns_and_has_imported_nothing_in_vain(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    """Ready means that a turn can be taken at once; neither needs the heavy parts of libraries."""
    environment = {"OPENAI_BASE_URL": provider.base_url, "PYTHONPROFILEIMPORTTIME": "1"}
    server, log = ServerProcess(environment, tmp_path), tmp_path / "server.log"
    for _ in ("a new directory", "the same one"):
        log.unlink(missing_ok=True)
        await server.start()
        try:
            async with httpx2.AsyncClient(base_url=server.url) as http:
                assert (await http.get("readyz")).status_code == HTTPStatus.OK
                assert (await http.get("livez")).status_code == HTTPStatus.OK
            ready = imported(log)
            async with ChatKitClient(server.url) as client:
                answer = await client.say("one")
                assert answer.error is None
                assert answer.text
        finally:
            assert await server.end(signal.SIGTERM) == 0
        assert {"chatkeep.app", "agents.run", "chatkit.server", "openai"} <= ready
        assert not ready & HEAVY
        assert not imported(log) & HEAVY
    assert "alembic" not in ready  # the second time there was nothing to migrate
