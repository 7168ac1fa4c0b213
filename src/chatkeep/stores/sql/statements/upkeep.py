"""What operators ask, across users."""

from typing import Any

from sqlalchemy import (
    BindParameter,
    Delete,
    Select,
    Table,
    bindparam,
    delete,
    exists,
    or_,
    select,
    tuple_,
)
from sqlalchemy.sql.dml import Insert

from chatkeep.ports.upkeep import TABLES
from chatkeep.stores.sql.schema import attachments, holds, metadata, owners, texts, threads
from chatkeep.stores.sql.statements.common import Dialect, across_users, p

_CHUNK = 2_000


class Upkeep:
    """The statements of `SqlUpkeep`, for one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        tables = {name: metadata.tables[name] for name in TABLES}
        self.first_records = {name: _in_order(table) for name, table in tables.items()}
        self.next_records = {name: _behind(table) for name, table in tables.items()}
        self.put_record = {name: _upsert(dialect, table) for name, table in tables.items()}
        # Children first, so that what goes is counted and not cascaded.
        erased = [tables[name] for name in reversed(TABLES) if name != "holds"]
        self.erase_user = {table.name: _erase(table, "owner") for table in [texts, *erased]}
        self.erase_tenant = {table.name: _erase(table) for table in [texts, *erased]}
        self._holds(dialect)
        self._ages()
        self.load_tenants: Select[Any] = select(owners.c.tenant).distinct().order_by("tenant")
        users = select(owners.c.tenant, owners.c.owner).limit(p("limit"))
        self.load_users: Select[Any] = users.order_by(owners.c.tenant, owners.c.owner).where(
            tuple_(owners.c.tenant, owners.c.owner)
            > tuple_(_typed("tenant", owners), _typed("owner", owners))
        )
        self.load_users_of_tenant: Select[Any] = users.order_by(owners.c.owner).where(
            owners.c.tenant == p("tenant"), owners.c.owner > p("owner")
        )
        across_users(self)

    def _holds(self, dialect: Dialect) -> None:
        self.put_hold = _upsert(dialect, holds)
        self.load_holds = _in_order(holds)
        self.delete_hold: Delete = delete(holds).where(
            holds.c.tenant == p("tenant"), holds.c.owner == p("owner")
        )
        self.load_any_hold: Select[Any] = (
            select(holds.c.owner).where(holds.c.tenant == p("tenant")).limit(1)
        )

    def _ages(self) -> None:
        held = exists().where(
            holds.c.tenant == threads.c.tenant,
            or_(holds.c.owner == "", holds.c.owner == threads.c.owner),
        )
        # 0 is what the release before this column left: nobody knows.
        self.old_threads: Select[Any] = (
            select(threads.c.tenant, threads.c.owner, threads.c.id)
            .where(
                threads.c.tenant == p("tenant"),
                threads.c.active_at < p("before"),
                threads.c.active_at > 0,
                ~held,
            )
            .order_by(threads.c.active_at)
            .limit(p("limit"))
        )
        # Again: somebody may have written in it since it was looked for.
        self.delete_old_thread: Delete = delete(threads).where(
            threads.c.tenant == p("tenant"),
            threads.c.owner == p("owner"),
            threads.c.id == p("thread"),
            threads.c.active_at < p("before"),
            threads.c.active_at > 0,
        )
        self.attachments_of_old: Select[Any] = select(attachments.c.id).where(
            attachments.c.tenant == p("tenant"),
            attachments.c.owner == p("owner"),
            attachments.c.thread_id == p("thread"),
        )
        self.stale_attachments: Select[Any] = (
            select(attachments.c.tenant, attachments.c.owner, attachments.c.id)
            .where(
                attachments.c.thread_id.is_(None),
                attachments.c.created_at < p("before"),
                attachments.c.created_at > 0,
            )
            .order_by(attachments.c.created_at)
            .limit(p("limit"))
        )


def _typed(column: str, table: Table) -> BindParameter[Any]:
    return bindparam(f"p_{column}", type_=table.c[column].type)


def _in_order(table: Table) -> Select[Any]:
    shown = [table.c[name] for name in _names(table)]
    return select(*shown).order_by(*table.primary_key).limit(p("limit"))


def _behind(table: Table) -> Select[Any]:
    after = [_typed(column.name, table) for column in table.primary_key]
    return _in_order(table).where(tuple_(*table.primary_key) > tuple_(*after))


def _upsert(dialect: Dialect, table: Table) -> Insert:
    fresh = dialect.insert(table).values(**{name: p(name) for name in _names(table)})
    changing = {
        column.name: fresh.excluded[column.name] for column in table.c if not column.primary_key
    }
    upsert: Insert = fresh.on_conflict_do_update(
        index_elements=list(table.primary_key), set_=changing
    )
    return upsert


def _names(table: Table) -> list[str]:
    return [column.name for column in table.c if not column.info.get("own")]


def _erase(table: Table, *keys: str) -> Delete:
    whose = [table.c[name] == p(name) for name in ("tenant", *keys)]
    some = select(*table.primary_key).where(*whose).limit(_CHUNK)
    return delete(table).where(tuple_(*table.primary_key).in_(some))
