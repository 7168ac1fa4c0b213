"""The routes of the server behind what every request passes: a Starlette application.

Not a FastAPI one: nothing here is to be documented or injected, and what FastAPI does around an
endpoint takes a request of the protocol a millisecond.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chatkeep.errors import ChatkeepError
from chatkeep.http.files import FilesEndpoint
from chatkeep.http.middleware import OriginMiddleware, RequestMiddleware
from chatkeep.http.pages import Assets
from chatkeep.http.probes import Health
from chatkeep.http.problems import HTTPProblem, problem, problem_of
from chatkeep.http.routes import ChatKitEndpoint, visitor_cookie
from chatkeep.ports import Authenticator

_READ = ["GET", "HEAD"]

type Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def build_application(
    routes: Sequence[Route], origins: Sequence[str], lifespan: Lifespan, *, loopback_only: bool
) -> Starlette:
    """Return the application.

    Args:
        routes: What is served, the most asked for first.
        origins: The other sites that may call.
        lifespan: What is open while it is served.
        loopback_only: It answers to this machine alone.
    """
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[
            Middleware(RequestMiddleware),
            Middleware(OriginMiddleware, origins=origins, loopback_only=loopback_only),
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_credentials=True,
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=["*"],
                expose_headers=[
                    "Content-Disposition",
                    "Retry-After",
                    "X-Chatkeep-Turn",
                    "X-Request-Id",
                ],
            ),
        ],
        exception_handlers={
            ChatkeepError: _answer_error,
            HTTPProblem: _answer_error,
            HTTPException: _answer_http_error,
        },
    )


def own_routes(
    endpoint: ChatKitEndpoint,
    files: FilesEndpoint,
    assets: Assets,
    health: Health,
    authenticators: Sequence[Authenticator],
) -> list[Route]:
    """Return the routes of the protocol, of files, of the page and of the probes."""

    async def page(request: Request) -> Response:
        return assets.page(await visitor_cookie(request, authenticators))

    async def element(request: Request) -> Response:
        return assets.element(request)

    async def asset(request: Request) -> Response:
        return assets.asset(request.path_params["name"])

    async def live(_: Request) -> Response:
        return health.live()

    async def ready(_: Request) -> Response:
        return await health.ready()

    async def report(_: Request) -> Response:
        return await health.report()

    return [
        Route("/chatkit", endpoint.__call__, methods=["POST"]),
        *_file_routes(files),
        Route("/", page, methods=_READ),
        Route("/chatkit.js", element, methods=_READ),
        Route("/assets/{name}", asset, methods=_READ),
        Route("/livez", live, methods=_READ),
        Route("/readyz", ready, methods=_READ),
        Route("/health", report, methods=_READ),
    ]


def _file_routes(files: FilesEndpoint) -> list[Route]:
    async def upload(request: Request) -> Response:
        return await files.upload(request, request.path_params["attachment_id"])

    async def download(request: Request) -> Response:
        return await files.download(request, request.path_params["attachment_id"])

    return [
        Route("/files", files.add, methods=["POST"]),
        Route("/files/{attachment_id}", upload, methods=["PUT", "POST"]),
        Route("/files/{attachment_id}", download, methods=_READ),
    ]


async def _answer_error(request: Request, error: Exception) -> Response:
    return problem_of(error, request.state.request_id)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    response = problem(HTTPStatus(error.status_code), error.detail, request.state.request_id)
    response.headers.update(error.headers or {})
    return response
