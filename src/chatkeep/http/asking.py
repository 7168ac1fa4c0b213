"""Who asks for what: the parts of a request that routes beside `/chatkit` share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse

from chatkeep.context import RequestContext
from chatkeep.errors import InvalidRequestError
from chatkeep.http.routes import base_url, identify
from chatkeep.ports import Authenticator
from chatkeep.protocol.preflight import MAX_PAGE

_PAGE = 20
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of a known user.

    Attributes:
        context: Who asks.
        headers: What every answer carries; a new visitor's cookie among it.
    """

    context: RequestContext
    headers: dict[str, str] = field(default_factory=dict)

    def json(self, body: object, status: HTTPStatus = HTTPStatus.OK) -> JSONResponse:
        """Return an answer."""
        return JSONResponse(body, status, headers=self.headers)


@dataclass(frozen=True, slots=True)
class Asking:
    """Finds out who asks.

    Args:
        authenticators: Who knows users.
        public_url: Where browsers reach this server, if that was told.
    """

    authenticators: Sequence[Authenticator]
    public_url: str | None

    async def __call__(self, request: Request) -> Asked:
        """Return who asks.

        Raises:
            UnauthenticatedError: Nobody we know.
        """
        identity = await identify(request, self.authenticators)
        context = RequestContext(
            principal=identity.principal,
            request_id=request.state.request_id,
            base_url=base_url(request, self.public_url),
        )
        headers = {"Cache-Control": "no-store"}
        if identity.set_cookie:
            headers["Set-Cookie"] = identity.set_cookie
        return Asked(context, headers)


def limit_of(query: Mapping[str, str]) -> int:
    """Return the rows of a page: as asked, but not more than are given."""
    given = query.get("limit", str(_PAGE))
    if not given.isascii() or not given.isdecimal() or len(given) > _DIGITS or int(given) < 1:
        raise InvalidRequestError("limit: a number from 1")
    return min(int(given), MAX_PAGE)


def flag_of(query: Mapping[str, str], name: str) -> bool:
    """Return a truth value; false when nothing is said."""
    match query.get(name, "false"):
        case "true":
            return True
        case "false":
            return False
        case _:
            raise InvalidRequestError(f"{name}: true or false")
