"""A hosted `ChatKitServer` whose answers are widgets, in a process of its own.

It does what the message says: `gallery` shows every component, and each other word the widget of
that name. It also serves the page `/gallery`, where that conversation is seen in both schemes.
"""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from chatkit.errors import CustomStreamError
from chatkit.server import ChatKitServer, stream_widget
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    SyncCustomActionResponse,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
    WidgetItem,
)
from chatkit.widgets import DynamicWidgetRoot
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Mount, Route

from chatkeep import Chatkeep
from chatkeep.context import RequestContext
from support import widget_gallery as parts
from support.widget_gallery import Node, node, row, text

PAGES = Path(__file__).parent / "gallery"


def _button(label: str, kind: str, **action: Any) -> Node:
    return node("Button", label=label, onClickAction={"type": kind, **action})


def _counter(count: int) -> Node:
    return node(
        "Card",
        text(f"Counted {count}"),
        row(
            _button("Count", "count", payload={"count": count}, streaming=False),
            _button("Hold", "hold"),
            _button("Whole", "hold", loadingBehavior="container"),
            _button("Quiet", "hold", loadingBehavior="none"),
            _button("In the page", "local", handler="client", payload={"page": 1}),
            _button("Break", "break"),
            _button("Break quietly", "break", streaming=False),
            _button("Release", "release", streaming=False),
        ),
    )


def _form() -> Node:
    return parts.form(
        confirm={"label": "Save", "action": {"type": "echo", "payload": {"seat": "mine", "id": 7}}},
        cancel={"label": "Cancel", "action": {"type": "done"}},
    )


def _choices() -> Node:
    colours = [{"value": f"c{number}", "label": f"Colour {number}"} for number in range(40)]
    on_change = {"onChangeAction": {"type": "echo"}}
    return node(
        "Card",
        node("Select", name="colour", options=colours, placeholder="Pick a colour", **on_change),
        node(
            "DatePicker", name="day", placeholder="Pick a day", defaultValue="2026-03-14T00:00:00"
        ),
        node("Checkbox", name="loud", label="Loud", **on_change),
    )


def _hostile() -> Node:
    return node(
        "Card",
        text("Harmless text"),
        node("Image", src="https://evil.example/pixel.png", alt="A pixel"),
        node("Image", src="javascript:alert(1)", alt="A script"),
        node("Box", text("boxed"), background="url(https://evil.example/b.png)"),
        node("Box", text("big"), height="red; position: fixed; inset: 0", margin=-5000),
        node("Markdown", value="[click](javascript:alert(1)) <img src=x onerror=alert(1)>"),
        node("Title", value="<script>document.title = 'owned'</script>"),
        {"type": "Text", "value": {"not": "a text"}},
        {"type": "Select", "name": None, "options": "none"},
        {"type": "Chart", "data": [{}], "series": [{"type": "pie"}], "xAxis": 7},
        {"type": "__proto__"},
        {"type": "constructor", "children": [text("never shown")]},
        status={"text": "Status", "favicon": "https://evil.example/f.ico"},
    )


WIDGETS = {
    "counter": lambda: _counter(0),
    "form": _form,
    "choices": _choices,
    "rows": parts.rows,
    "split": parts.split_rows,
    "table": parts.table,
    "hostile": _hostile,
}


class WidgetServer(ChatKitServer[RequestContext]):
    """Answers with widgets, and does what they ask for."""

    released = asyncio.Event()

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Show what the message names."""
        order = (
            "".join(part.text for part in input_user_message.content) if input_user_message else ""
        )
        roots: list[Any] = [self._growing()] if order == "story" else []
        if order == "gallery":
            roots = list(parts.gallery())
        elif order in WIDGETS:
            roots = [DynamicWidgetRoot.model_validate(WIDGETS[order]())]
        for root in roots:
            async for event in stream_widget(
                thread,
                root,
                copy_text="what the widget says",
                generate_id=lambda kind: self.store.generate_item_id(kind, thread, context),
            ):
                yield event

    async def action(
        self,
        thread: ThreadMetadata,
        action: Any,
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Do what was asked for."""
        if action.type == "break":
            raise CustomStreamError("It broke.", allow_retry=False)
        if action.type == "hold":
            await self.released.wait()
            self.released.clear()
        if action.type == "done" and sender:
            root = DynamicWidgetRoot.model_validate(node("Card", text("All done.")))
            yield ThreadItemReplacedEvent(item=sender.model_copy(update={"widget": root}))
        else:
            said = json.dumps(action.payload, sort_keys=True)
            yield ThreadItemDoneEvent(
                item=AssistantMessageItem(
                    id=self.store.generate_item_id("message", thread, context),
                    thread_id=thread.id,
                    created_at=datetime.now(UTC),
                    content=[AssistantMessageContent(text=f"Got {action.type} `{said}`")],
                )
            )

    async def sync_action(
        self,
        thread: ThreadMetadata,
        action: Any,
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> SyncCustomActionResponse:
        """Count, or let what is held go on."""
        if action.type == "break":
            raise ValueError
        if action.type == "release" or sender is None:
            self.released.set()
            return SyncCustomActionResponse()
        root = DynamicWidgetRoot.model_validate(_counter(action.payload["count"] + 1))
        changed = sender.model_copy(update={"widget": root})
        await self.store.save_item(thread.id, changed, context)
        return SyncCustomActionResponse(updated_item=changed)

    async def _growing(self) -> AsyncIterator[DynamicWidgetRoot]:
        told = ""
        for word in ["Once ", "upon ", "a ", "time."]:
            told += word
            story = text(told, id="story", streaming=word != "time.")
            markdown = node("Markdown", id="markdown", value=f"**{told}**")
            yield DynamicWidgetRoot.model_validate(node("Card", story, markdown))


def application() -> Starlette:
    """Return Chatkeep with the page of the gallery beside it."""
    return Starlette(
        routes=[
            Route("/gallery", lambda _: FileResponse(PAGES / "gallery.html")),
            Route("/gallery.js", lambda _: FileResponse(PAGES / "gallery.js")),
            Mount("/", Chatkeep(server=WidgetServer)),
        ]
    )


class _Announcing(uvicorn.Server):
    """Prints its address once it listens there."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"http://127.0.0.1:{self.config.port}\nStop with Ctrl+C\n")
        sys.stdout.flush()


if __name__ == "__main__":
    port = int(sys.argv[sys.argv.index("--port") + 1])
    _Announcing(uvicorn.Config(application(), port=port, log_level="warning")).run()
