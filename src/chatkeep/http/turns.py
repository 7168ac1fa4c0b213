"""Turns over HTTP: one turn, its events, the events of a thread, and the end of a turn."""

import json
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chatkeep.errors import InvalidRequestError
from chatkeep.http.asking import Asking
from chatkeep.http.stream import EventsResponse, Framing
from chatkeep.ports import Store, Turn
from chatkeep.protocol.answers import Answers
from chatkeep.protocol.hosting import Host
from chatkeep.turns.engine import TurnEngine
from chatkeep.turns.following import ThreadReader
from chatkeep.turns.reading import TurnReader

_DIGITS = 19
_MAX = 2**63 - 1  # what a database takes for a number


class TurnsEndpoint:
    """Reads and stops turns; only their owner can."""

    def __init__(
        self, store: Store, engine: TurnEngine, host: Host, answers: Answers, asking: Asking
    ) -> None:
        self._store = store
        self._engine = engine
        self._host = host
        self._answers = answers
        self._asking = asking

    def routes(self) -> list[Route]:
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
        asked = await self._asking(request)
        turn = await self._store.load_turn(request.path_params["turn_id"], asked.context)
        return asked.json(turn_json(turn))

    async def cancel(self, request: Request) -> Response:
        """Stop a turn, and answer with it."""
        asked = await self._asking(request)
        turn = await self._engine.cancel(request.path_params["turn_id"], asked.context)
        return asked.json(turn_json(turn))

    async def thread_turn(self, request: Request) -> Response:
        """Answer with the turn of a thread that runs, or is the next to; 204 if none is."""
        asked = await self._asking(request)
        turn = await self._store.load_thread_turn(request.path_params["thread_id"], asked.context)
        if turn is None or turn.ended_at is not None:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=asked.headers)
        return asked.json(turn_json(turn))

    async def events(self, request: Request) -> Response:
        """Answer with a turn's events behind a number."""
        asked = await self._asking(request)
        turn = await self._store.load_turn(request.path_params["turn_id"], asked.context)
        reader = TurnReader(self._engine, self._store, turn.id, _after(request) or 0, asked.context)
        first = await reader.next(0)
        return EventsResponse(
            reader,
            Framing.NUMBERED,
            present=lambda json: self._host.present(json, asked.context),
            headers={**asked.headers, "X-Chatkeep-Turn": turn.id},
            first=first,
            seen=lambda: self._answers.mark_read(turn.thread_id, asked.context),
        )

    async def thread_events(self, request: Request) -> Response:
        """Answer with the events of a thread's turns, from the one that runs on, without an end."""
        asked = await self._asking(request)
        thread = await self._store.load_thread(request.path_params["thread_id"], asked.context)
        reader = ThreadReader(self._engine, self._store, thread.id, _after(request), asked.context)
        first = await reader.next(0)
        return EventsResponse(
            reader,
            Framing.NUMBERED,
            present=lambda json: self._host.present(json, asked.context),
            headers=asked.headers,
            first=first,
        )


def turn_json(turn: Turn) -> dict[str, object]:
    """Return a turn as its owner sees it."""
    return {
        "id": turn.id,
        "thread_id": turn.thread_id,
        "state": str(turn.state),
        "reason": turn.reason,
        "created_at": turn.created_at.isoformat(),
        "ended_at": turn.ended_at.isoformat() if turn.ended_at else None,
        "usage": json.loads(turn.usage) if turn.usage else None,
    }


def _after(request: Request) -> int | None:
    """Return the number of the last event that the reader has; None if it does not say."""
    given = request.query_params.get("after") or request.headers.get("last-event-id")
    if given is None:
        return None
    if not given.isascii() or not given.isdecimal() or len(given) > _DIGITS or int(given) > _MAX:
        raise InvalidRequestError("after: the number of the last event that was received")
    return int(given)
