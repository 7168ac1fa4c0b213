"""The wiring: settings → backends → engine → protocol → HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agents import Agent
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from chatkeep import __version__
from chatkeep.agent.tool_choice import Offer, ToolChoices
from chatkeep.agent.warming import warm
from chatkeep.auth import open_authenticators
from chatkeep.auth.anonymous import TENANT, load_key
from chatkeep.configured import (
    auth_config,
    bounds,
    file_limits,
    limits,
    models_config,
    open_answers,
    open_files,
    open_recall,
    open_wakes,
    prices,
)
from chatkeep.errors import SettingsError
from chatkeep.files.attachments import Attachments
from chatkeep.files.sharing import SharedFiles
from chatkeep.files.signing import LinkSigner
from chatkeep.files.sweeping import Sweeper
from chatkeep.http.admin import AdminEndpoint
from chatkeep.http.application import build_application, own_routes
from chatkeep.http.asking import Asking
from chatkeep.http.conversations import ConversationsEndpoint
from chatkeep.http.files import FilesEndpoint
from chatkeep.http.models import ModelsEndpoint
from chatkeep.http.pages import Assets
from chatkeep.http.probes import Health
from chatkeep.http.routes import ChatKitEndpoint
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
from chatkeep.turns.admission import Admission
from chatkeep.turns.bell import Bell
from chatkeep.turns.engine import TurnEngine
from chatkeep.turns.recovery import Recovery
from chatkeep.upkeep.retention import Ages, Retention

INSTRUCTIONS = (
    "You are a helpful assistant. Answer in the language of the user, briefly and correctly; "
    "say so when you do not know. Use Markdown where it helps."
)


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
        self._accounting = Accounting(prices(settings), limits(settings), self.catalog)
        self._tool_choices = ToolChoices(agent, tool_choices)
        self._host = self._hosted(agent, server, context)
        self._bell = Bell()
        self.relay = open_wakes(settings, self.database_url)
        self._bell.publish = self.relay.publish
        self.engine = TurnEngine(self.store, self._host, self._bell, lease=settings.turns.lease)
        self.admission = admission = Admission(bounds(settings), lambda: len(self.engine.running))
        self._recovery = Recovery(self.store, self.engine, lambda: admission.too_much is None)
        self.health = Health(
            {"database": self.store.ping, "files": self.storage.ping},
            self.catalog.state,
            lambda: admission.overloaded,
        )
        answers = Answers(self._host, self.store, self.attachments)
        endpoint = ChatKitEndpoint(
            host=self._host,
            answers=answers,
            preflight=self._preflight(),
            engine=self.engine,
            admission=admission,
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
        routes = [
            *own_routes(endpoint, files, assets, self.health, self.auth.chain),
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
        self._opening = asyncio.Lock()
        self._opened = False
        self._app = build_application(
            routes,
            settings.server.cors_origins,
            self._lifespan,
            loopback_only="anonymous" in settings.auth.mode,
        )

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

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await self.open()
        yield
        await self.aclose()

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
                    asyncio.create_task(asyncio.to_thread(warm), name="warming"),
                    asyncio.create_task(self._recovery.run(), name="recovery"),
                    asyncio.create_task(self.admission.run(), name="admission"),
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
