"""The wiring: settings → backends → engine → protocol → HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from agents import Agent
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from chatkeep import __version__
from chatkeep.agent.tool_choice import Offer, ToolChoices
from chatkeep.auth import open_authenticators
from chatkeep.auth.anonymous import TENANT, load_key
from chatkeep.configured import (
    auth_config,
    file_limits,
    limits,
    models_config,
    open_answers,
    open_files,
    open_recall,
    open_wakes,
    prices,
)
from chatkeep.errors import ChatkeepError, SettingsError
from chatkeep.files.attachments import Attachments
from chatkeep.files.sharing import SharedFiles
from chatkeep.files.signing import LinkSigner
from chatkeep.files.sweeping import Sweeper
from chatkeep.http.admin import AdminEndpoint
from chatkeep.http.asking import Asking
from chatkeep.http.conversations import ConversationsEndpoint
from chatkeep.http.files import FilesEndpoint
from chatkeep.http.middleware import OriginMiddleware, RequestMiddleware
from chatkeep.http.models import ModelsEndpoint
from chatkeep.http.pages import Assets
from chatkeep.http.probes import Health
from chatkeep.http.problems import HTTPProblem, problem, problem_of
from chatkeep.http.routes import ChatKitEndpoint, visitor_cookie
from chatkeep.http.share_page import SharePage
from chatkeep.http.shares import SharesEndpoint
from chatkeep.http.transfer import TransferEndpoint
from chatkeep.http.turns import TurnsEndpoint
from chatkeep.models.catalog import Catalog
from chatkeep.models.opening import open_models
from chatkeep.page import page_config
from chatkeep.ports import Store
from chatkeep.protocol.accounting import Accounting
from chatkeep.protocol.answers import Answers
from chatkeep.protocol.hosting import Contexts, Host, ServerFactory, make_server
from chatkeep.protocol.preflight import Preflight
from chatkeep.protocol.server import ChatkeepServer
from chatkeep.settings import Settings, load_settings
from chatkeep.stores import default_url, open_store
from chatkeep.telemetry.agent_spans import set_up
from chatkeep.telemetry.logging import tame_libraries
from chatkeep.turns.bell import Bell
from chatkeep.turns.engine import TurnEngine
from chatkeep.turns.recovery import Recovery
from chatkeep.upkeep.retention import Ages, Retention

INSTRUCTIONS = (
    "You are a helpful assistant. Answer in the language of the user, briefly and correctly; "
    "say so when you do not know. Use Markdown where it helps."
)

_READ = ["GET", "HEAD"]


class Chatkeep:
    """A ChatKit back end and front end as an ASGI application.

    Serve it alone (`uvicorn main:app`) or mount it (`main.mount("/chat", app)`); a mounted
    application gets no lifespan events and connects at its first request.

    Args:
        agent: What answers: an agent of the Agents SDK. None: a plain assistant.
        server: A `ChatKitServer` to host instead: its class, or an object. Its store becomes
            Chatkeep's, and so do its files unless it brings an attachment store.
        context: Makes the context that the hosted server's methods expect, from a
            `RequestContext`, which they get by default.
        tool_choices: What a message may choose by `inference_options.tool_choice`: ids to names of
            the agent's tools and hand-offs, or a function that returns them for a `RequestContext`.
            By default all of them, by their names.
        settings: The settings; read from file and environment by default.

    Raises:
        SettingsError: The settings do not allow a start, or both an agent and a server are given.
    """

    def __init__(
        self,
        agent: Agent[Any] | None = None,
        *,
        server: ServerFactory | None = None,
        context: Contexts | None = None,
        tool_choices: Offer | None = None,
        settings: Settings | None = None,
    ) -> None:
        if agent is not None and server is not None:
            raise SettingsError("name an agent or a server, not both: a server has its own agent")
        self.settings = settings = settings or load_settings()
        self.catalog: Catalog = open_models(models_config(settings))
        self._answers = open_answers(settings, self.catalog)
        url = settings.database.url
        self.database_url = url.get_secret_value() if url else default_url(settings.data_dir)
        self.store = open_store(self.database_url, data_dir=settings.data_dir)
        self.auth = open_authenticators(auth_config(settings))
        self.storage = open_files(settings)
        self._sweeper = Sweeper(self.store, self.storage)
        ages = Ages(settings.retention.days, settings.retention.tenants)
        self._retention = Retention(self.store, self.storage, ages)
        self._services: list[asyncio.Task[None]] = []
        signer = LinkSigner(load_key(settings.data_dir))
        self.attachments = Attachments(self.store, self.storage, signer, file_limits(settings))
        self.health = Health(
            {"database": self.store.ping, "files": self.storage.ping}, self.catalog.state
        )
        self._accounting = Accounting(prices(settings), limits(settings), self.catalog)
        self._tool_choices = ToolChoices(agent, tool_choices)
        self._host = self._hosted(agent, server, context)
        self._bell = Bell()
        self.relay = open_wakes(settings, self.database_url)
        self._bell.publish = self.relay.publish
        self.engine = TurnEngine(self.store, self._host, self._bell, lease=settings.turns.lease)
        self._recovery = Recovery(self.store, self.engine)
        answers = Answers(self._host, self.store, self.attachments)
        endpoint = ChatKitEndpoint(
            host=self._host,
            answers=answers,
            preflight=self._preflight(),
            engine=self.engine,
            store=self.store,
            authenticators=self.auth.chain,
            max_body_bytes=settings.server.max_body_bytes,
            public_url=settings.server.public_url,
            leaving_cancels=settings.turns.on_disconnect == "cancel",
            queues=settings.turns.when_busy == "queue",
        )
        files = FilesEndpoint(self.attachments, self.auth.chain, settings.server.public_url)
        asking = Asking(self.auth.chain, settings.server.public_url)
        shared = SharedFiles(self.store, self.attachments, signer)
        # What answers may bring its model: then there is nothing to choose, and nothing to excuse.
        brings_model = server is not None or (agent is not None and agent.model is not None)
        choices = None if brings_model else self.catalog
        conversations = [
            *ConversationsEndpoint(self.store, asking).routes(),
            *TransferEndpoint(
                self.store, self.attachments, asking, settings.server.max_import_bytes
            ).routes(),
            *SharesEndpoint(self.store, asking).routes(),
            *TurnsEndpoint(self.store, self.engine, self._host, answers, asking).routes(),
            *ModelsEndpoint(choices, asking).routes(),
            *_admin_routes(self.store, settings),
            *SharePage(self.store, shared, settings.server.public_url).routes(),
        ]
        visitors = TENANT if "anonymous" in settings.auth.mode else None
        page = page_config(
            choices,
            visitors,
            has_agent=agent is not None,
            files=self.attachments.limits if self._host.keeps_files else None,
            transcribes="transcribe" in self._host.offered,
            version=__version__,
        )
        assets = Assets(Path(__file__).parent / "assets", page)
        self._opening = asyncio.Lock()
        self._opened = False
        self._app = _build_app(self, endpoint, files, assets)
        self._app.router.routes.extend(conversations)

    def _hosted(
        self,
        agent: Agent[Any] | None,
        server: ServerFactory | None,
        context: Contexts | None,
    ) -> Host:
        accounting = self._accounting
        if server is not None:
            hosted = make_server(server, self.store, self.attachments)
            return Host(
                hosted,
                self.store,
                self.attachments,
                own=False,
                accounting=accounting,
                contexts=context,
            )
        settings = self.settings
        ours = ChatkeepServer(
            self.store,
            self.catalog,
            agent or Agent(name="Assistant", instructions=INSTRUCTIONS),
            is_default_agent=agent is None,
            titles_by_model=settings.models.titles == "model",
            traced=settings.telemetry.agent_spans != "off",
            attachments=self.attachments,
            recall=open_recall(settings, self.store, self.attachments, self.catalog),
            tool_choices=self._tool_choices,
        )
        return Host(ours, self.store, self.attachments, own=True, accounting=accounting)

    def _preflight(self) -> Preflight:
        host = self._host
        return Preflight(
            self.store,
            self.catalog if host.own else None,
            self.attachments if host.keeps_files else None,
            host.offered,
            self._tool_choices if host.own else None,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if not self._opened and scope["type"] == "http":
            await self.open()
        await self._app(scope, receive, send)

    async def open(self) -> None:
        """Connect to the database. Idempotent.

        Raises:
            ChatkeepError: The database cannot be opened.
        """
        async with self._opening:
            if not self._opened:
                set_up(self.settings.telemetry.agent_spans)
                tame_libraries()
                self._accounting.warn()
                await self.store.open()
                await self.relay.open(self._bell.ring)
                self._services = [
                    asyncio.create_task(self._recovery.run(), name="recovery"),
                    asyncio.create_task(self._sweeper.run(), name="sweeper"),
                    asyncio.create_task(self._retention.run(), name="retention"),
                ]
                self._opened = True

    async def drain(self) -> None:
        """Take no new turns, and let running ones finish within the grace of the settings."""
        self.health.draining = True
        await self.engine.drain(self.settings.shutdown.grace)

    async def aclose(self) -> None:
        """Stop what runs and close every connection. Idempotent."""
        await self.drain()
        for service in self._services:
            service.cancel()
        if self._services:
            await asyncio.wait(self._services)
        await self.relay.aclose()
        await self.auth.aclose()
        await self.catalog.aclose()
        if self._answers is not None:
            await self._answers.aclose()
        await self.store.aclose()
        self._opened = False


def _admin_routes(store: Store, settings: Settings) -> list[Route]:
    token = settings.admin.token
    return AdminEndpoint(store, token.get_secret_value()).routes() if token else []


def _build_app(
    chatkeep: Chatkeep,
    endpoint: ChatKitEndpoint,
    files: FilesEndpoint,
    assets: Assets,
) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await chatkeep.open()
        yield
        await chatkeep.aclose()

    settings = chatkeep.settings
    origins = list(settings.server.cors_origins)
    app = FastAPI(
        # FastAPI's own documentation pages load scripts from elsewhere.
        openapi_url=None,
        lifespan=lifespan,
        middleware=[
            Middleware(RequestMiddleware),
            Middleware(
                OriginMiddleware,
                origins=origins,
                loopback_only="anonymous" in settings.auth.mode,
            ),
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
    _add_routes(app, chatkeep, endpoint, assets)
    _add_file_routes(app, files)
    return app


def _add_routes(
    app: FastAPI,
    chatkeep: Chatkeep,
    endpoint: ChatKitEndpoint,
    assets: Assets,
) -> None:
    @app.post("/chatkit")
    async def chatkit(request: Request) -> Response:
        return await endpoint(request)

    @app.api_route("/", methods=_READ)
    async def page(request: Request) -> Response:
        return assets.page(await visitor_cookie(request, chatkeep.auth.chain))

    @app.api_route("/chatkit.js", methods=_READ)
    async def element(request: Request) -> Response:
        return assets.element(request)

    @app.api_route("/assets/{name}", methods=_READ)
    async def asset(name: str) -> Response:
        return assets.asset(name)

    @app.api_route("/livez", methods=_READ)
    async def live() -> Response:
        return chatkeep.health.live()

    @app.api_route("/readyz", methods=_READ)
    async def ready() -> Response:
        return await chatkeep.health.ready()

    @app.api_route("/health", methods=_READ)
    async def health() -> Response:
        return await chatkeep.health.report()


def _add_file_routes(app: FastAPI, files: FilesEndpoint) -> None:
    @app.post("/files")
    async def add_file(request: Request) -> Response:
        return await files.add(request)

    @app.api_route("/files/{attachment_id}", methods=["PUT", "POST"])
    async def upload_file(request: Request, attachment_id: str) -> Response:
        return await files.upload(request, attachment_id)

    @app.api_route("/files/{attachment_id}", methods=_READ)
    async def download_file(request: Request, attachment_id: str) -> Response:
        return await files.download(request, attachment_id)


async def _answer_error(request: Request, error: Exception) -> Response:
    return problem_of(error, request.state.request_id)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    response = problem(HTTPStatus(error.status_code), error.detail, request.state.request_id)
    response.headers.update(error.headers or {})
    return response
