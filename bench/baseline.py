"""The plainest ChatKit server on the same SDKs: what Chatkeep is measured against.

Stock `ChatKitServer.process`, the Agents SDK's chat completions model, `stream_agent_response`, a
store in memory, one user, and FastAPI's `StreamingResponse`. It saves nothing to disk, knows
nobody and checks nothing.
"""
# ruff: noqa: ARG002 - the SDK prescribes the parameters

import argparse
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import uvicorn
from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    Runner,
    TResponseInputItem,
    set_tracing_disabled,
)
from chatkit.agents import AgentContext, ThreadItemConverter, stream_agent_response
from chatkit.server import ChatKitServer, StreamingResult
from chatkit.store import NotFoundError, Store
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    Page,
    ThreadItem,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from openai.types.responses import EasyInputMessageParam

_HISTORY = 20  # items
_INSTRUCTIONS = (
    "You are a helpful assistant. Answer in the language of the user, briefly and correctly; "
    "say so when you do not know. Use Markdown where it helps."
)


class MemoryStore(Store[None]):
    """Threads and their items, for as long as the process lives."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadMetadata] = {}
        self._items: dict[str, list[ThreadItem]] = {}

    async def load_thread(self, thread_id: str, context: None) -> ThreadMetadata:
        if thread_id not in self._threads:
            raise NotFoundError
        return self._threads[thread_id].model_copy()

    async def save_thread(self, thread: ThreadMetadata, context: None) -> None:
        self._threads[thread.id] = ThreadMetadata(**thread.model_dump(exclude={"items"}))
        self._items.setdefault(thread.id, [])

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: None
    ) -> Page[ThreadItem]:
        return _page(self._items[thread_id], after, limit, order)

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: None
    ) -> Page[ThreadMetadata]:
        return _page(list(self._threads.values()), after, limit, order)

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: None) -> None:
        # Appended, whatever its id: the Agents SDK calls every answer of this API `__fake_id__`.
        self._items[thread_id].append(item)

    async def save_item(self, thread_id: str, item: ThreadItem, context: None) -> None:
        items = self._items[thread_id]
        items[:] = [item if each.id == item.id else each for each in items]

    async def load_item(self, thread_id: str, item_id: str, context: None) -> ThreadItem:
        return next(each for each in self._items[thread_id] if each.id == item_id)

    async def delete_thread(self, thread_id: str, context: None) -> None:
        del self._threads[thread_id], self._items[thread_id]

    async def delete_thread_item(self, thread_id: str, item_id: str, context: None) -> None:
        items = self._items[thread_id]
        items[:] = [each for each in items if each.id != item_id]

    async def save_attachment(self, attachment: Attachment, context: None) -> None:
        raise NotImplementedError

    async def load_attachment(self, attachment_id: str, context: None) -> Attachment:
        raise NotImplementedError

    async def delete_attachment(self, attachment_id: str, context: None) -> None:
        raise NotImplementedError


def _page[T: Any](rows: list[T], after: str | None, limit: int, order: str) -> Page[T]:
    rows = rows if order == "asc" else rows[::-1]
    start = next((i + 1 for i, row in enumerate(rows) if row.id == after), 0) if after else 0
    shown = rows[start : start + limit]
    more = len(rows) > start + limit
    return Page(data=shown, has_more=more, after=shown[-1].id if more else None)


class Converter(ThreadItemConverter):
    """The SDK's converter, with the one change without which the second turn fails."""

    async def assistant_message_to_input(self, item: AssistantMessageItem) -> TResponseInputItem:
        text = "".join(part.text for part in item.content)
        return EasyInputMessageParam(type="message", role="assistant", content=text)


class PlainServer(ChatKitServer[None]):
    """An agent behind the protocol."""

    def __init__(self, model: OpenAIChatCompletionsModel) -> None:
        super().__init__(MemoryStore())
        self._agent = Agent[AgentContext[None]](
            name="Assistant", instructions=_INSTRUCTIONS, model=model
        )
        self._converter = Converter()

    async def make_input(self, thread: ThreadMetadata) -> list[TResponseInputItem]:
        """Return the newest items of the thread, in order."""
        page = await self.store.load_thread_items(thread.id, None, _HISTORY, "desc", None)
        return await self._converter.to_agent_input(page.data[::-1])

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: None
    ) -> AsyncIterator[ThreadStreamEvent]:
        turn = AgentContext(thread=thread, store=self.store, request_context=context)
        result = Runner.run_streamed(self._agent, await self.make_input(thread), context=turn)
        async for event in stream_agent_response(turn, result):
            yield event


def build(base_url: str) -> FastAPI:
    """Return the application."""
    set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=base_url, api_key="none")
    server = PlainServer(OpenAIChatCompletionsModel(model="mock-model", openai_client=client))
    app = FastAPI()
    started = datetime.now(UTC)

    @app.post("/chatkit")
    async def chatkit(request: Request) -> Response:
        result = await server.process(await request.body(), None)
        if isinstance(result, StreamingResult):
            return StreamingResponse(result, media_type="text/event-stream")
        return Response(result.json, media_type="application/json")

    @app.get("/livez")
    async def live() -> dict[str, str]:
        return {"since": started.isoformat()}

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=8001)
    uvicorn.run(
        build(os.environ["OPENAI_BASE_URL"]),
        port=parser.parse_args().port,
        access_log=False,
        log_level="warning",
    )
