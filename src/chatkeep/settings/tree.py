"""The tree of settings, and those of its sections that have no file of their own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, SecretStr

from chatkeep.settings.auth import Auth
from chatkeep.settings.budgets import Budgets
from chatkeep.settings.cache import Cache
from chatkeep.settings.models import Models
from chatkeep.settings.section import Section
from chatkeep.settings.telemetry import Telemetry
from chatkeep.settings.types import (
    Days,
    HomePath,
    Identifier,
    Origins,
    PublicURL,
    Seconds,
    Types,
    comma_pairs,
)


class Server(Section):
    """Where to listen, and for whom."""

    host: str = Field("127.0.0.1", description="the address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="a port from 1 to 65535, or 0 for any")
    cors_origins: Origins = Field(
        (), description="origins of other sites that may call, as https://host:port, by commas"
    )
    max_body_bytes: int = Field(1_048_576, ge=1024, description="bytes of a request body, at most")
    max_import_bytes: int = Field(
        268_435_456, ge=1024, description="bytes of a document of conversations, at most"
    )
    public_url: PublicURL | None = Field(
        None, description="where browsers reach this server, such as https://chat.example.org"
    )


class Database(Section):
    """Where conversations are kept."""

    url: SecretStr | None = Field(
        None, description="sqlite:///relative.db, sqlite:////absolute.db or memory://"
    )


class Relay(Section):
    """How instances wake each other."""

    url: SecretStr | None = Field(
        None, description="redis://host:6379/0, rediss://…, or postgresql://… without a pooler"
    )


class Files(Section):
    """What may be attached to a message, and where it is kept."""

    url: SecretStr | None = Field(
        None, description="file:///absolute/directory, s3://bucket, gs://…, az://… or memory://"
    )
    max_bytes: int = Field(52_428_800, ge=1, description="bytes of a file, at most")
    allowed_types: Types = Field(
        (
            "image/png",
            "image/jpeg",
            "image/gif",
            "image/webp",
            "text/*",
            "application/json",
            "application/x-ndjson",
            "application/xml",
            "application/yaml",
            "application/toml",
            "application/pdf",
        ),
        description="types of files, by commas, as image/png or text/*",
    )
    quota_bytes: int = Field(1_073_741_824, ge=1, description="bytes of a user's files, at most")
    upload_seconds: Seconds = Field(600, description="seconds that an upload link is good for")
    download_seconds: Seconds = Field(3600, description="seconds that a download link is good for")
    image_bytes: int = Field(
        5_000_000, ge=0, description="bytes of an image that is shown to the model, at most"
    )
    image_messages: int = Field(
        3, ge=0, description="how many newest messages show their images to the model"
    )
    text_tokens: int = Field(
        8_000, ge=0, description="tokens of text from the files of a message, at most"
    )


class Retention(Section):
    """How long conversations are kept."""

    days: Annotated[Days, Field(ge=1)] | None = Field(
        None, description="days without a message after which a conversation is deleted"
    )
    tenants: Annotated[
        dict[Identifier, Annotated[Days, Field(ge=0)]], BeforeValidator(comma_pairs)
    ] = Field({}, description="other days for tenants, as acme=30,umbrella=0 (0: for ever)")


class Turns(Section):
    """How answers are worked on."""

    lease: Annotated[Seconds, Field(ge=3)] = Field(
        15, description="seconds until the answers of an instance that is gone are taken over"
    )
    on_disconnect: Literal["continue", "cancel"] = Field(
        "continue", description="what an official client's leaving does to an answer"
    )
    when_busy: Literal["reject", "queue"] = Field(
        "reject", description="what happens to a message while an answer is being written"
    )


class Overload(Section):
    """When new messages are refused, so that running answers do not suffer."""

    turns: Annotated[int, Field(ge=1)] | None = Field(
        None, description="answers that are written at once, at most: a number from 1 on"
    )
    lag: float = Field(
        0.025, ge=0, description="seconds by which the event loop may be late, or 0 for any"
    )
    starting: int = Field(
        8, ge=1, description="messages that are taken in at once: a number from 1 on"
    )


class Admin(Section):
    """What operators can ask over HTTP."""

    token: Annotated[SecretStr, Field(min_length=32)] | None = Field(
        None, description="a secret of 32 characters or more; without one there is no /admin"
    )


class Shutdown(Section):
    """How to stop."""

    grace: Seconds = Field(20, description="seconds that running answers get to finish")


class Log(Section):
    """What is logged, and how."""

    format: Literal["console", "json"] = Field("console", description="console or json")
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error"
    )


class Settings(Section):
    """The whole tree."""

    data_dir: HomePath = Field(Path(".chatkeep"), description="a directory that can be written")
    server: Server = Server()
    database: Database = Database()
    relay: Relay = Relay()
    auth: Auth = Auth()
    models: Models = Models()
    budgets: Budgets = Budgets()
    cache: Cache = Cache()
    files: Files = Files()
    retention: Retention = Retention()
    turns: Turns = Turns()
    overload: Overload = Overload()
    admin: Admin = Admin()
    shutdown: Shutdown = Shutdown()
    log: Log = Log()
    telemetry: Telemetry = Telemetry()


def walk(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every field as (dotted name, value), in the order of the tree."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from walk(value, f"{name}.")
        else:
            yield prefix + name, value
