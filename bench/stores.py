"""What a page and an append cost in long threads, and a page of a long list of threads.

All sizes are in one database and are measured in turn, call by call in a random order, so that
what else the machine does meets all of them alike. What an append has added is deleted again
before the next call, outside of the measurement. PostgreSQL is a server of its own on this machine
that syncs its commits, or the one of --postgres (a database with the schema and without rows).
"""

import argparse
import asyncio
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from chatkeep.ports import Store
from chatkeep.stores import apply_migrations, open_store
from chatkeep.stores.encoding import encode_item, encode_thread
from chatkeep.testing.store_samples import asking, message, thread

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.postgres import PostgresServer, find_binaries

PAGE = 20
TEXT = "Some words of an answer that is neither short nor long. " * 4

ITEMS = """
INSERT INTO items (tenant, owner, thread_id, id, seq, type, hidden, body)
SELECT 'acme', 'ann', 'thr_{size}', '{size}_' || n, n, 'assistant_message', false,
       replace('{body}', 'msg_1', '{size}_' || n) FROM {numbers}
"""
THREADS = """
INSERT INTO threads (tenant, owner, id, seq, next_seq, title, body, active_seq, active_at)
SELECT 'acme', 'owner_{size}', 'thr_' || n, n, 1, 'A title',
       replace('{body}', 'thr_1', 'thr_' || n), n, n FROM {numbers}
"""
LONG = "UPDATE threads SET next_seq = {size} + 1 WHERE id = 'thr_{size}'"
SQLITE_NUMBERS = """
(WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {size})
 SELECT n FROM numbers)
"""
POSTGRES_NUMBERS = "generate_series(1, {size}) n"

type Call = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Timing:
    """What the calls of one kind took, in milliseconds."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    async def measure(self, call: Call) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        await call()
        self.cpu.append((time.process_time() - cpu) * 1000)
        self.wall.append((time.perf_counter() - wall) * 1000)

    @property
    def median(self) -> float:
        return statistics.median(self.wall)

    def __str__(self) -> str:
        return "  ".join(
            f"{statistics.median(each):7.2f} {statistics.quantiles(each, n=100)[98]:7.2f}"
            for each in (self.wall, self.cpu)
        )


def statements(sizes: list[int], lists: list[int], numbers: str) -> list[str]:
    """Return what fills a database whose long threads exist already."""
    item = encode_item(message("msg_1", TEXT)).body
    empty = encode_thread(thread()).body
    return [
        *[ITEMS.format(size=n, body=item, numbers=numbers.format(size=n)) for n in sizes],
        *[LONG.format(size=n) for n in sizes],
        *[THREADS.format(size=n, body=empty, numbers=numbers.format(size=n)) for n in lists],
    ]


async def with_threads(url: str, sizes: list[int]) -> None:
    await apply_migrations(url, data_dir=Path())
    store = open_store(url, data_dir=Path())
    await store.open()
    for size in sizes:
        await store.save_thread(thread(f"thr_{size}"), asking())
    await store.aclose()


@asynccontextmanager
async def filled_sqlite(
    directory: Path, sizes: list[int], lists: list[int]
) -> AsyncIterator[Store]:
    path = directory / "chat.db"
    await with_threads(f"sqlite:///{path}", sizes)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        with connection:
            for statement in statements(sizes, lists, SQLITE_NUMBERS):
                connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.sync()
    store = open_store(f"sqlite:///{path}", data_dir=directory)
    await store.open()
    yield store
    await store.aclose()


@asynccontextmanager
async def filled_postgres(url: str, sizes: list[int], lists: list[int]) -> AsyncIterator[Store]:
    await with_threads(url, sizes)
    connection = await asyncpg.connect(url)
    await connection.execute("SET session_replication_role = replica")  # no foreign keys
    for statement in statements(sizes, lists, POSTGRES_NUMBERS):
        await connection.execute(statement)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()
    store = open_store(url, data_dir=Path())
    await store.open()
    yield store
    await store.aclose()


async def measured(
    store: Store, sizes: list[int], lists: list[int], calls: int
) -> dict[str, dict[int, Timing]]:
    """Return the timings of each kind of call by size."""
    chance, number = random.Random(0), 0
    names = {"append": sizes, "newest 20 items": sizes, "20 threads": lists, "20 summaries": lists}
    found = {name: {size: Timing() for size in all_} for name, all_ in names.items()}

    async def once(name: str, size: int, timing: Timing) -> None:
        nonlocal number
        number += 1
        thread_id, owner = f"thr_{size}", asking(user=f"owner_{size}")
        item = message(f"new_{number}", TEXT, thread_id=thread_id)
        asked: dict[str, Call] = {
            "append": lambda: store.add_thread_item(thread_id, item, asking()),
            "newest 20 items": lambda: store.load_thread_items(
                thread_id, None, PAGE, "desc", asking(), include_hidden=False
            ),
            "20 threads": lambda: store.load_threads(PAGE, None, "desc", owner),
            "20 summaries": lambda: store.load_summaries(PAGE, None, "desc", owner),
        }
        await timing.measure(asked[name])
        if name == "append":
            await store.delete_thread_item(thread_id, item.id, asking())

    every = [(name, size) for name, all_ in names.items() for size in all_]
    for _ in range(20):  # statements are compiled, prepared and, on PostgreSQL, planned
        for name, size in every:
            await once(name, size, Timing())
    for _ in range(calls):
        for name, size in chance.sample(every, len(every)):
            await once(name, size, found[name][size])
    return found


def report(title: str, found: dict[str, dict[int, Timing]]) -> None:
    print(f"\n{title}: ms (median, p99), CPU ms of this process, ratio of the medians")
    for name, timings in found.items():
        first = next(iter(timings.values())).median
        for size, timing in timings.items():
            print(f"{name:>16} {size:>9,}  {timing}   {timing.median / first:5.2f}")


async def run(options: argparse.Namespace) -> None:
    sizes, lists = options.sizes, options.lists
    with tempfile.TemporaryDirectory() as directory:
        async with filled_sqlite(Path(directory), sizes, lists) as store:
            report(
                f"SQLite {sqlite3.sqlite_version}",
                await measured(store, sizes, lists, options.calls),
            )
    url, server = options.postgres, None
    if url is None:
        binaries = find_binaries()
        if binaries is None:
            print("no PostgreSQL here")
            return
        server = PostgresServer(binaries)
    try:
        if server is not None:
            server.create({"fsync": "on", "full_page_writes": "on", "max_wal_size": "4GB"})
            await server.execute("CREATE DATABASE bench")
            url = server.url("bench")
        async with filled_postgres(url, sizes, lists) as store:
            report("PostgreSQL", await measured(store, sizes, lists, options.calls))
    finally:
        if server is not None:
            server.remove()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--calls", type=int, default=500, help="calls of each kind (default: 500)")
    add("--sizes", type=int, nargs="+", default=[10, 1_000, 100_000, 1_000_000])
    add("--lists", type=int, nargs="+", default=[20, 100_000], help="threads of a user")
    add("--postgres", help="the URL of an empty database (default: a server of its own)")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
