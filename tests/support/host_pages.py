"""Somebody else's site: pages of another origin than the server's, with headers of their own."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Self


class HostPages:
    """Serves pages until it is closed.

    Attributes:
        pages: The HTML by its path.
        headers: What is sent with each of them.
    """

    def __init__(self, pages: Mapping[str, str], headers: Mapping[str, str] | None = None) -> None:
        self.pages = dict(pages)
        self.headers = dict(headers or {})
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        self._server.close_clients()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            page = self.pages.get(head.split()[1].partition("?")[0])
            status = "404 Not Found" if page is None else "200 OK"
            body = (page or "").encode()
            fields = {
                "content-type": "text/html; charset=utf-8",
                "content-length": str(len(body)),
                "connection": "close",
                **self.headers,
            }
            lines = [f"HTTP/1.1 {status}", *[f"{name}: {value}" for name, value in fields.items()]]
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            await writer.drain()
        writer.close()
