"""Statements, sent: by themselves or as part of a transaction."""

from typing import Any

from pymongo import ASCENDING, DESCENDING, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from chatkeep.stores.mongo.statements import Delete, Document, Find, Take, Update

type Database = AsyncDatabase[dict[str, Any]]


class Commands:
    """Sends statements in a session's transaction; without a session, each by itself."""

    def __init__(self, database: Database, session: AsyncClientSession | None) -> None:
        self._database = database
        self._session = session

    async def find(self, statement: Find) -> list[Document]:
        """Return the documents."""
        cursor = self._database[statement.collection].find(
            statement.filter,
            {"_id": False, **dict.fromkeys(statement.fields, True)},
            limit=statement.limit,
            batch_size=statement.limit,  # a page is one answer
            session=self._session,
        )
        if statement.order is not None:
            cursor.sort("seq", ASCENDING if statement.order == "asc" else DESCENDING)
        return await cursor.to_list()

    async def one(self, statement: Find) -> Document | None:
        """Return the first document, if there is one."""
        return next(iter(await self.find(statement)), None)

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

    async def take(self, statement: Take) -> int | None:
        """Return the next number; None if there is no document to take it from."""
        document = await self._database[statement.collection].find_one_and_update(
            statement.filter,
            {"$inc": {statement.field: 1}},
            {"_id": False, statement.field: True},
            upsert=statement.upsert,
            return_document=ReturnDocument.AFTER,
            session=self._session,
        )
        return int(document[statement.field]) if document else None

    async def delete(self, statement: Delete) -> int:
        """Delete documents; return how many were there."""
        collection = self._database[statement.collection]
        delete = collection.delete_many if statement.many else collection.delete_one
        return (await delete(statement.filter, session=self._session)).deleted_count
