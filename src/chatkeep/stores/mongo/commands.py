"""Statements, sent: by themselves or as part of a transaction."""

from collections.abc import Sequence
from typing import Any

from pymongo import DESCENDING, ReturnDocument, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from chatkeep.stores.mongo.statements import Delete, Distinct, Document, Find, Take, Update

type Database = AsyncDatabase[dict[str, Any]]


class Commands:
    """Sends statements in a session's transaction; without a session, each by itself."""

    def __init__(self, database: Database, session: AsyncClientSession | None) -> None:
        self._database = database
        self._session = session

    def aside(self) -> "Commands":
        """Return the same without the transaction."""
        return Commands(self._database, None)

    async def find(self, statement: Find) -> list[Document]:
        """Return the documents."""
        collection = self._database[statement.collection]
        if statement.newest:
            stages = _stages(statement)
            found = await collection.aggregate(
                stages, batchSize=max(statement.limit, 1), session=self._session
            )
            return await found.to_list()
        cursor = collection.find(
            statement.filter,
            _shown(statement.fields),
            limit=statement.limit,
            batch_size=statement.limit,  # a page is one answer
            session=self._session,
        )
        if statement.sort:
            cursor.sort(statement.sort)
        return await cursor.to_list()

    async def one(self, statement: Find) -> Document | None:
        """Return the first document, if there is one."""
        return next(iter(await self.find(statement)), None)

    async def distinct(self, statement: Distinct) -> list[Any]:
        """Return the different values."""
        return await self._database[statement.collection].distinct(
            statement.field, session=self._session
        )

    async def update(self, statement: Update) -> int:
        """Change documents; return how many were there."""
        collection = self._database[statement.collection]
        if statement.many:
            result = await collection.update_many(
                statement.filter, statement.change, session=self._session
            )
        else:
            result = await collection.update_one(
                statement.filter, statement.change, upsert=statement.upsert, session=self._session
            )
        return result.matched_count

    async def update_each(self, statements: Sequence[Update]) -> int:
        """Do several changes of one document each, of one collection, in their order.

        Returns how many of the documents were there.
        """
        if not statements:
            return 0
        changes = [UpdateOne(each.filter, each.change, upsert=each.upsert) for each in statements]
        collection = self._database[statements[0].collection]
        return (await collection.bulk_write(changes, session=self._session)).matched_count

    async def take(self, statement: Take) -> Document | None:
        """Return the changed document; None if it is not there."""
        document: Document | None = await self._database[statement.collection].find_one_and_update(
            statement.filter,
            statement.change,
            _shown(statement.fields),
            sort=statement.sort or None,
            upsert=statement.upsert,
            return_document=ReturnDocument.AFTER,
            session=self._session,
        )
        return document

    async def delete(self, statement: Delete) -> int:
        """Delete documents; return how many were there."""
        collection = self._database[statement.collection]
        delete = collection.delete_many if statement.many else collection.delete_one
        return (await delete(statement.filter, session=self._session)).deleted_count


def _shown(fields: Sequence[str]) -> Document:
    return {"_id": False, **dict.fromkeys(fields, True)}


def _stages(statement: Find) -> list[Document]:
    stages: list[Document] = [
        {"$match": statement.filter},
        {"$sort": dict(statement.sort)},
        {"$limit": statement.limit},
    ]
    shown = _shown(statement.fields)
    for name, newest in (statement.newest or {}).items():
        last = [
            {"$match": newest.filter},
            {"$sort": {"seq": DESCENDING}},
            {"$limit": 1},
            {"$project": _shown(newest.fields)},
        ]
        joined = {"localField": newest.local, "foreignField": newest.foreign}
        stages.append(
            {"$lookup": {"from": newest.collection, **joined, "pipeline": last, "as": name}}
        )
        shown[name] = True
    return [*stages, {"$project": shown}]
