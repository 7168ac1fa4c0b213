"""Turns over HTTP: one turn, its events, the events of a thread, and the end of a turn."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from chatkeep.errors import InvalidRequestError
from chatkeep.http.asking import Asking
from chatkeep.http.stream import EventsResponse, Framing
from chatkeep.ports import Store, Turn
from chatkeep.protocol.answers import Answers
from chatkeep.turns.engine import TurnEngine
from chatkeep.turns.following import ThreadReader
from chatkeep.turns.reading import TurnReader


class TurnsEndpoint:
    """Reads and stops turns; only their owner can."""

    def __init__(
        self, store: Store, engine: TurnEngine, answers: Answers, asking: Asking
    ) -> None:
        self._store = store
        self._engine = engine
        self._answers = answers
        self._asking = asking

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/chatkit/turns/{turn_id}", self.turn, methods=["GET"]),
            Route("/chatkit/turns/{turn_id}/events", self.events, methods=["GET"]),
            Route("/chatkit/turns/{turn_id}/cancel", self.cancel, methods=["POST"]),
            Route("/chatkit/threads/{thread_id}/events", self.thread_events, methods=["GET"]),
            Route("/chatkit/threads/{thread_id}/turn", self.thread_turn, methods=["GET"]),
        ]

    async def turn(self, request: Request) -> Response:
        """Answer with a turn."""
        context, headers = await self._asking.context(request)
        turn = await self._store.load_turn(request.path_params["turn_id"], context)
        return JSONResponse(turn_json(turn), headers=headers)

    async def cancel(self, request: Request) -> Response:
        """Stop a turn, and answer with it."""
        context, headers = await self._asking.context(request)
        turn = await self._engine.cancel(request.path_params["turn_id"], context)
        return JSONResponse(turn_json(turn), headers=headers)

    async def thread_turn(self, request: Request) -> Response:
        """Answer with the turn of a thread that runs, or is the next to; 204 if none is."""
        context, headers = await self._asking.context(request)
        turn = await self._store.load_thread_turn(request.path_params["thread_id"], context)
        if turn is None or turn.ended_at is not None:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        return JSONResponse(turn_json(turn), headers=headers)

    async def events(self, request: Request) -> Response:
        """Answer with a turn's events behind a number."""
        context, headers = await self._asking.context(request)
        turn = await self._store.load_turn(request.path_params["turn_id"], context)
        reader = TurnReader(self._engine, self._store, turn.id, _after(request), context)
        first = await reader.next(0)
        return EventsResponse(
            reader,
            Framing.NUMBERED,
            headers={**headers, "X-Chatkeep-Turn": turn.id},
            first=first,
            seen=lambda: self._answers.mark_read(turn.thread_id, context),
        )

    async def thread_events(self, request: Request) -> Response:
        """Answer with the events of a thread's turns, from the one that runs on, without an end."""
        context, headers = await self._asking.context(request)
        thread = await self._store.load_thread(request.path_params["thread_id"], context)
        reader = ThreadReader(
            self._engine, self._store, thread.id, _after(request, default=None), context
        )
        first = await reader.next(0)
        return EventsResponse(reader, Framing.NUMBERED, headers=headers, first=first)


def turn_json(turn: Turn) -> dict[str, object]:
    """Return a turn as its owner sees it."""
    ...


def _after(request: Request, default: int | None = 0) -> int:
    ...
