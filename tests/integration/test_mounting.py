"""Chatkeep inside another application, and alone under an ASGI server."""

from pathlib import Path

import httpx2
from fastapi import FastAPI
from starlette.testclient import TestClient

from chatkeep import Chatkeep, load_settings
from chatkeep.testing.client import user_input


def make(tmp_path: Path) -> Chatkeep:
    """Return an application with the scripted model."""
    overrides = {"data_dir": tmp_path / "data", "models.provider": "scripted"}
    return Chatkeep(settings=load_settings(environ={}, overrides=overrides))


async def test_mounted_under_a_path(tmp_path: Path) -> None:
    """A mounted application gets no lifespan and still answers, page and chat."""
    app, main = make(tmp_path), FastAPI()
    main.mount("/chat", app)
    transport = httpx2.ASGITransport(main)

    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        page = await client.get("/chat/")
        body = {"type": "threads.create", "params": {"input": user_input("hello")}}
        answer = await client.post("/chat/chatkit", json=body)
        script = await client.get("/chat/chatkit.js")

    assert page.status_code == script.status_code == 200
    assert 'src="./assets/' in page.text
    assert "You said: hello" in answer.text
    await app.aclose()


def test_alone_with_a_lifespan(tmp_path: Path) -> None:
    """Under a server that speaks lifespan, the database is opened before the first request."""
    app = make(tmp_path)
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/readyz").json() == {
            "status": "ok",
            "dependencies": {"database": "ok", "files": "ok"},
        }
        assert (tmp_path / "data" / "chatkeep.db").is_file()


def test_draining_is_not_ready_but_alive(tmp_path: Path) -> None:
    """While it drains, the server is alive, not ready, and takes no new message."""
    app = make(tmp_path)
    with TestClient(app, base_url="http://localhost") as client:
        client.portal.call(app.drain)  # type: ignore[union-attr]
        body = {"type": "threads.create", "params": {"input": user_input("hello")}}
        refused = client.post("/chatkit", json=body)

        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 503
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
