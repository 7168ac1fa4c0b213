"""Drive a ChatKit server and say what a turn and a token cost it.

The user message carries a directive that `mockllm.py` obeys, so one running server and one running
mock serve every length and pace. Two ways to load:

    --concurrency N   closed loop: N streams at once, each followed by the next
    --rate R          open loop: R turns start in a second, at random (seeded) times that are
                      fixed in advance, whether or not earlier ones have ended; times count from
                      the moment a turn was due

A turn fails unless its stream ended properly and its text, both the deltas and the finished
message, is byte for byte what the mock was asked to send. With --pid the server's CPU time and
memory are read from /proc. The last line of output is one JSON object; the exit status is 1 if a
turn failed.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import uvloop

import mockllm
import procs
from client import Pool, Turn, assistant_text, clock
from shape import Shape
from spread import ms, share, spread

_SAMPLES = 3  # of errors
_REFUSED = 503


@dataclass(slots=True)
class _Client:
    """Who asks, and where."""

    cookie: str | None = None
    thread_id: str | None = None


@dataclass(slots=True)
class _Run:
    pool: Pool
    shape: Shape
    turns: list[Turn] = field(default_factory=list)
    active: int = 0
    peak: int = 0
    late: list[float] = field(default_factory=list)
    rss: list[tuple[int, int]] = field(default_factory=list)

    async def turn(
        self, client: _Client, message: str, thread_id: str | None, due: float | None = None
    ) -> Turn:
        """Have one turn; keep the cookie of the first answer."""
        self.active += 1
        self.peak = max(self.peak, self.active)
        shape = self.shape
        turn = await self.pool.call(
            shape.body(message, thread_id),
            protocol=shape.protocol,
            cookie=client.cookie,
            seconds=shape.timeout,
        )
        self.active -= 1
        client.cookie = client.cookie or turn.cookie
        turn.started = due or turn.started
        return turn

    async def one(self, client: _Client, want: str, due: float | None = None) -> None:
        turn = await self.turn(client, self.shape.prompt(), client.thread_id, due)
        if turn.error is None and turn.text != want:
            turn.error = f"text differs: {len(turn.text)} characters instead of {len(want)}"
        elif turn.error is None and turn.whole_texts not in (None, [want]):
            turn.error = "the finished message differs from the streamed text"
        turn.parts = []
        self.turns.append(turn)
        if self.shape.keep_thread and turn.thread_id:
            client.thread_id = turn.thread_id

    def refused(self, turn: Turn) -> bool:
        """Whether a turn was refused where that is no failure."""
        return self.shape.may_refuse and turn.status == _REFUSED

    async def closed_loop(self, clients: list[_Client], want: str) -> None:
        left = self.shape.turns

        async def stream(slot: int) -> None:
            nonlocal left
            await asyncio.sleep(self.shape.ramp * slot / len(clients))
            while left > 0:
                left -= 1
                await self.one(clients[slot], want)
                if self.shape.pause_ms:
                    await asyncio.sleep(self.shape.pause_ms / 1000)

        await asyncio.gather(*map(stream, range(len(clients))))

    async def open_loop(self, clients: list[_Client], want: str) -> None:
        rnd, due, tasks = random.Random(self.shape.seed), clock(), []
        for number in range(self.shape.turns):
            due += rnd.expovariate(self.shape.rate)
            await asyncio.sleep(max(0.0, due - clock()))
            self.late.append(clock() - due)
            client = clients[number % len(clients)]
            tasks.append(asyncio.create_task(self.one(client, want, due)))
        await asyncio.gather(*tasks)

    @asynccontextmanager
    async def watched(self, pid: int | None) -> AsyncIterator[None]:
        """Sample the server's memory and the lateness of this process meanwhile."""

        async def watch() -> None:
            looks = 0
            while True:
                start = clock()
                await asyncio.sleep(0.05)
                if not self.shape.rate:
                    self.late.append(clock() - start - 0.05)
                looks += 1
                if pid and looks % 5 == 0:
                    self.rss.append((self.active, procs.usage(pid).rss))

        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def direct_first_ms(upstream: str, shape: Shape, calls: int = 20) -> float:
    """Return the median time to the first token when the mock is asked directly."""
    pool = Pool(upstream.rstrip("/") + "/chat/completions")
    body = {
        "model": mockllm.MODEL,
        "stream": True,
        "messages": [{"role": "user", "content": shape.prompt(gap=0, first=0)}],
    }
    turns = [await pool.call(body, protocol="openai") for _ in range(calls)]
    pool.close()
    return ms(share([turn.first - turn.started for turn in turns if turn.first], 50))


async def drive(
    url: str,
    shape: Shape,
    *,
    upstream: str | None = None,
    pid: int | None = None,
    headers: list[str] | None = None,
) -> dict[str, Any]:
    """Load the server and return the figures."""
    run = _Run(Pool(url, headers), shape)
    want = mockllm.reply_text(shape.seed, shape.tokens)
    clients = await _prepare(run)
    direct = await direct_first_ms(upstream, shape) if upstream else None
    await asyncio.sleep(0.2)
    before, own, start = procs.usage(pid), time.process_time(), clock()
    async with run.watched(pid):
        await (run.open_loop if shape.rate else run.closed_loop)(clients, want)
    after, own, wall = procs.usage(pid), time.process_time() - own, clock() - start
    refused = sum(run.refused(turn) for turn in run.turns)
    errors = [turn.error for turn in run.turns if turn.error and not run.refused(turn)]
    if shape.reread:
        errors += await _reread(run, clients[0], want)
    run.pool.close()
    good = [turn for turn in run.turns if turn.error is None]
    first = [turn.first - turn.started for turn in good if turn.first is not None]
    figures: dict[str, Any] = {
        "shape": asdict(shape),
        "turns": len(run.turns),
        "failed": len(errors),
        "refused": refused,
        "error_samples": errors[:_SAMPLES],
        "wall_s": round(wall, 3),
        "turns_per_s": round(len(good) / wall, 2),
        "first_text_ms": spread(first),
        "total_ms": spread([turn.ended - turn.started for turn in good]),
        "gap_ms": spread([gap for turn in good for gap in turn.gaps]),
        "events_per_turn": round(sum(turn.events for turn in good) / max(1, len(good)), 2),
        "bytes_per_turn": round(sum(turn.size for turn in good) / max(1, len(good))),
        "peak_streams": run.peak,
        "client_cpu_share": round(own / wall, 3),
        "client_late_p99_ms": ms(share(run.late, 99)),
        "calibration_ms": round(procs.calibrate(), 2),
    }
    if direct is not None:
        p50 = figures["first_text_ms"]["p50"]
        figures["direct_first_ms"] = direct
        figures["added_first_ms"] = round(p50 - direct - shape.first_ms, 3)
    if pid:
        held = [rss for active, rss in run.rss if active >= 0.9 * run.peak]
        cpu = after.cpu - before.cpu
        figures |= {
            "cpu_s": round(cpu, 4),
            "cpu_share": round(cpu / wall, 3),
            "cpu_ms_per_turn": round(cpu * 1000 / max(1, len(run.turns)), 4),
            "rss_before_kb": before.rss // 1024,
            "rss_after_kb": after.rss // 1024,
            "rss_kb_per_stream": round(
                (max(held, default=before.rss) - before.rss) / 1024 / max(1, run.peak), 1
            ),
        }
    return figures


async def _prepare(run: _Run) -> list[_Client]:
    """Warm up, give the clients their identities, and fill the store as asked."""
    shape, short = run.shape, run.shape.prompt(tokens=1, gap=0, first=0)
    shared = _Client()

    async def ask(client: _Client, thread_id: str | None, message: str = short) -> Turn:
        turn = await run.turn(client, message, thread_id)
        if turn.error:
            raise SystemExit(f"warm-up: {turn.error}")
        return turn

    thread_id = None
    for _ in range(max(1, shape.warmup)):  # in one thread: the second turn must work as well
        message = shape.prompt(tokens=min(shape.tokens, 20), gap=0, first=0)
        turn = await ask(shared, thread_id, message)
        thread_id = thread_id or turn.thread_id
    thread_id = None
    for _ in range(shape.prefill):
        thread_id = (await ask(shared, thread_id)).thread_id or thread_id
    for _ in range(shape.prefill_threads):
        await ask(shared, None)
    run.active = run.peak = 0
    shared.thread_id = thread_id
    if shape.per_client:
        clients = [_Client() for _ in range(shape.concurrency)]
        for client in clients:
            await ask(client, None)
        return clients
    return [_Client(shared.cookie, thread_id) for _ in range(shape.concurrency)]


async def _reread(run: _Run, client: _Client, want: str) -> list[str]:
    errors = []
    for turn in run.turns:
        if turn.error is None and turn.thread_id is not None:
            body = {"type": "threads.get_by_id", "params": {"thread_id": turn.thread_id}}
            answer = await run.pool.call(body, cookie=client.cookie)
            if answer.error:
                errors.append(f"not stored: {answer.error}")
                continue
            items = json.loads(answer.body)["items"]["data"]
            texts = [assistant_text(i) for i in items if i["type"] == "assistant_message"]
            if not texts or any(text != want for text in texts):
                errors.append("the stored message differs from the streamed text")
    return errors


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--url", required=True, help="the endpoint, such as http://127.0.0.1:8000/chatkit")
    add("--upstream", help="the mock's base URL (…/v1), to subtract its own time to first token")
    add("--pid", type=int, help="the server's process; its descendants count")
    add("--header", action="append", default=[], help="'Name: value'; repeatable")
    default = Shape()
    for each in fields(Shape):
        option, value = f"--{each.name.replace('_', '-')}", getattr(default, each.name)
        if isinstance(value, bool):
            add(option, action="store_true")
        else:
            add(option, type=type(value), default=value)
    given = vars(parser.parse_args())
    shape = Shape(**{each.name: given[each.name] for each in fields(Shape)})
    if shape.rate and (shape.keep_thread or shape.prefill):
        parser.error("a thread has one running answer: no --rate with --keep-thread or --prefill")
    if shape.prefill and shape.concurrency > 1:
        parser.error("a thread has one running answer: no --concurrency with --prefill")
    work = drive(
        given["url"],
        shape,
        upstream=given["upstream"],
        pid=given["pid"],
        headers=given["header"],
    )
    figures = uvloop.run(work)
    print(json.dumps(figures))
    return 1 if figures["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
