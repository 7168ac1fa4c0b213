"""`/admin`: what operators ask over HTTP, with the token of the settings."""

import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chatkeep.errors import InvalidRequestError, InvalidTokenError, UnauthenticatedError
from chatkeep.http.asking import limit_of
from chatkeep.ports import Store, TurnState
from chatkeep.turns.reporting import turn_report
from chatkeep.upkeep.spending import MAX_DAYS, load_report

_DAYS = 30
_SHOWN = (TurnState.QUEUED, TurnState.RUNNING, TurnState.INTERRUPTED)


class AdminEndpoint:
    """Answers operators.

    Args:
        store: Where turns are stored.
        token: What they prove themselves with.
    """

    def __init__(self, store: Store, token: str) -> None:
        self._store = store
        self._token = token.encode()

    def routes(self) -> list[Route]:
        """Return where this answers."""
        return [
            Route("/admin/turns", self.turns, methods=["GET"]),
            Route("/admin/usage", self.usage, methods=["GET"]),
        ]

    async def turns(self, request: Request) -> Response:
        """Answer with turns in some states, oldest first."""
        self._check(request)
        query = request.query_params
        states = _states(query.getlist("state")) or _SHOWN
        found = await self._store.load_turns(states, limit_of(query))
        now = datetime.now(UTC)
        return JSONResponse(
            {"data": [turn_report(turn, now) for turn in found]},
            headers={"Cache-Control": "no-store"},
        )

    async def usage(self, request: Request) -> Response:
        """Answer with what was spent in the last days, by model."""
        self._check(request)
        query = request.query_params
        tenant, user = query.get("tenant"), query.get("user")
        if user is not None and tenant is None:
            raise InvalidRequestError("user: needs a tenant, as each has its own users")
        report = await load_report(
            self._store, days=_days(query), tenant=tenant, user=user, model=query.get("model")
        )
        return JSONResponse({"data": report}, headers={"Cache-Control": "no-store"})

    def _check(self, request: Request) -> None:
        """Return when it is an operator who asks.

        Raises:
            UnauthenticatedError: There is no token, or another one.
        """
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise UnauthenticatedError("Send the token of the settings (admin.token).")
        if not hmac.compare_digest(given.strip().encode(), self._token):
            raise InvalidTokenError


def _days(query: Mapping[str, str]) -> int:
    given = query.get("days", str(_DAYS))
    if not given.isascii() or not given.isdecimal() or not 1 <= int(given[:9]) <= MAX_DAYS:
        raise InvalidRequestError(f"days: a number from 1 to {MAX_DAYS}")
    return int(given)


def _states(given: Sequence[str]) -> list[TurnState]:
    try:
        return [TurnState(each) for each in given]
    except ValueError as error:
        names = ", ".join(TurnState)
        raise InvalidRequestError(f"state: one of {names}") from error
