"""What a turn costs in a long conversation, and a page of a long list of conversations.

They are made by an import, so that any store can be measured. Turns in the long one and in a new
one take turns in a random order, and so do lists of two users.
"""

import json
import random
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import uvloop

import mockllm
import procs
from client import Pool, Turn
from servers import Machine, Running, Server
from shape import Shape
from tables import Row

type Figures = dict[str, Any]

_AT = "2026-11-22T17:00:00Z"
_TEXT = "Some words of an answer that is neither short nor long. " * 2
_BATCH = 2_000
_PAGE = 20

ROWS = (
    Row("turn in a new conversation, CPU (ms)", "new_ms"),
    Row("turn in a long one (5,000 items), CPU (ms)", "long_ms"),
    Row("the latter over the former", "long_ratio"),
    Row("page of a list of 20 threads, CPU (ms)", "few_ms"),
    Row("page of a long list (10,000 threads), CPU (ms)", "many_ms"),
    Row("failed turns", "failed", 0),
)


@dataclass(slots=True)
class _Kind:
    """Requests of one kind, and their CPU in milliseconds."""

    call: Callable[[], Awaitable[Turn]]
    cpu: list[float] = field(default_factory=list)

    async def once(self, pid: int) -> Turn:
        before = procs.usage(pid).cpu
        turn = await self.call()
        self.cpu.append((procs.usage(pid).cpu - before) * 1000)
        return turn


def visit(machine: Machine, server: Server, items: int, threads: int, calls: int) -> Figures:
    """Start a server, fill it, measure it."""
    with machine.running(server) as running:
        return uvloop.run(_measure(running, items, threads, calls))


async def _measure(running: Running, items: int, threads: int, calls: int) -> Figures:
    pool, imports = Pool(running.url), Pool(running.url + "/import")
    shape, want = Shape(tokens=1), mockllm.reply_text(0, 1)

    async def restore(documents: list[Figures], cookie: str | None) -> str:
        turn = await imports.call(
            {"chatkeep_export": 1, "threads": documents}, cookie=cookie, seconds=300
        )
        if turn.error or json.loads(turn.body)["skipped"]:
            raise SystemExit(f"import: {turn.error}")
        return cookie or turn.cookie or ""

    few = await restore([_thread(number, 1) for number in range(_PAGE)], None)
    many = ""
    for start in range(0, threads, _BATCH):
        batch = [_thread(number, 1) for number in range(start, min(threads, start + _BATCH))]
        many = await restore(batch, many or None)
    writer = await restore([_thread(0, items)], None)
    listing = {"type": "threads.list", "params": {"limit": _PAGE, "order": "desc"}}

    def say(thread_id: str | None) -> Callable[[], Awaitable[Turn]]:
        return lambda: pool.call(shape.body(shape.prompt(), thread_id), cookie=writer)

    kinds = {
        "new_ms": _Kind(say(None)),
        "long_ms": _Kind(say("thr_0")),
        "few_ms": _Kind(lambda: pool.call(listing, cookie=few)),
        "many_ms": _Kind(lambda: pool.call(listing, cookie=many)),
    }
    errors: list[str] = []
    chance = random.Random(0)
    for number in range(calls + 5):
        for name in chance.sample(list(kinds), len(kinds)):
            turn = await kinds[name].once(running.pid)
            is_turn = kinds[name].call not in (kinds["few_ms"].call, kinds["many_ms"].call)
            if turn.error or (is_turn and turn.text != want):
                errors.append(f"{name}: {turn.error or 'text differs'}")
        if number < 5:  # warms up
            for kind in kinds.values():
                kind.cpu.clear()
    pool.close()
    imports.close()
    found: Figures = {name: statistics.median(kind.cpu) for name, kind in kinds.items()}
    raw = {name: kind.cpu for name, kind in kinds.items()}
    ratio = found["long_ms"] / found["new_ms"]
    return {
        **found,
        "long_ratio": ratio,
        "failed": len(errors),
        "errors": errors[:3],
        "raw": raw,
    }


def _thread(number: int, items: int) -> Figures:
    thread_id = f"thr_{number}"
    return {
        "thread": {"id": thread_id, "title": f"Number {number}", "created_at": _AT},
        "archived": False,
        "items": [_item(thread_id, n) for n in range(items)],
        "feedback": {},
        "attachments": [],
    }


def _item(thread_id: str, number: int) -> Figures:
    base = {"id": f"{thread_id}_{number}", "thread_id": thread_id, "created_at": _AT}
    if number % 2:
        content = [{"type": "output_text", "text": f"{number}: {_TEXT}", "annotations": []}]
        return {**base, "type": "assistant_message", "content": content}
    content = [{"type": "input_text", "text": f"{number}: {_TEXT}"}]
    more = {"attachments": [], "inference_options": {}, "quoted_text": None}
    return {**base, "type": "user_message", "content": content, **more}
