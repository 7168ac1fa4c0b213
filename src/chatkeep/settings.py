"""Settings: one frozen, typed tree, read once.

Sources, weakest first: the defaults below, `chatkeep.toml`, `.env`, the environment, command-line
options. A field `section.field` is `CHATKEEP_SECTION_FIELD` in the environment; the names that
people already use (`PORT`, `OPENAI_API_KEY`, …) are aliases. Any name may be given as `NAME_FILE`
with the path of a file that holds the value, as container secrets are mounted.

Every failure is a `SettingsError` of one line: the field, where its value came from, and what to
do. Values of secret fields never appear in one.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from chatkeep.errors import SettingsError
from chatkeep.loopback import is_loopback
from chatkeep.setting_types import (
    URL,
    Algorithm,
    Days,
    HomePath,
    Identifier,
    Key,
    KeyURL,
    Origins,
    PublicURL,
    Seconds,
    Types,
    comma_list,
    comma_pairs,
)

PREFIX = "CHATKEEP_"
FILE_NAME = "chatkeep.toml"

ALIASES = {
    "HOST": "server.host",
    "PORT": "server.port",
    "CORS_ORIGINS": "server.cors_origins",
    "DATABASE_URL": "database.url",
    "REDIS_URL": "relay.url",
    "MODEL_NAME": "models.name",
    "CHATKEEP_PROVIDER": "models.provider",
    "OPENAI_API_KEY": "models.openai_api_key",
    "OPENAI_BASE_URL": "models.openai_base_url",
    "OPENROUTER_API_KEY": "models.openrouter_api_key",
    "GEMINI_API_KEY": "models.gemini_api_key",
    "OLLAMA_HOST": "models.ollama_host",
}
"""Environment names that are not `CHATKEEP_SECTION_FIELD`, and the fields they stand for."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Server(_Section):
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


class Database(_Section):
    """Where conversations are kept."""

    url: SecretStr | None = Field(
        None, description="sqlite:///relative.db, sqlite:////absolute.db or memory://"
    )


class Relay(_Section):
    """How instances wake each other."""

    url: SecretStr | None = Field(
        None, description="redis://host:6379/0, rediss://…, or postgresql://… without a pooler"
    )


class Auth(_Section):
    """Who may use the chat."""

    mode: Annotated[tuple[Literal["anonymous", "jwt"], ...], BeforeValidator(comma_list)] = Field(
        ("anonymous",),
        min_length=1,
        description="anonymous (a signed cookie for each browser, loopback only), jwt (tokens of "
        "an issuer), or both by commas",
    )
    issuer: Identifier | None = Field(
        None, description="the issuer of the tokens, exactly as their iss says"
    )
    jwks_url: KeyURL | None = Field(
        None, description="an https URL of the issuer's keys, such as https://issuer/jwks.json"
    )
    audience: Identifier | None = Field(
        None, description="the name of this server in the aud of the tokens"
    )
    algorithms: Annotated[tuple[Algorithm, ...], BeforeValidator(comma_list)] = Field(
        get_args(Algorithm),
        min_length=1,
        description="asymmetric signature algorithms by commas, such as RS256,ES256",
    )
    user_claim: Identifier = Field("sub", description="the claim that names the user")
    tenant_claim: Identifier = Field("tenant", description="the claim that names the tenant")
    default_tenant: Identifier | None = Field(
        None, description="the tenant of tokens that name none"
    )
    token_type: Identifier | None = Field(
        None, description="the typ that tokens must have, such as at+jwt"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Refuse half a sign-in: tokens that cannot be checked, or that nobody asks for."""
        needed = {
            "CHATKEEP_AUTH_ISSUER": self.issuer,
            "CHATKEEP_AUTH_JWKS_URL": self.jwks_url,
            "CHATKEEP_AUTH_AUDIENCE": self.audience,
        }
        if "jwt" in self.mode:
            if missing := [name for name, value in needed.items() if value is None]:
                raise ValueError(f"auth.mode: jwt needs more settings; set {', '.join(missing)}")
        elif given := [name for name, value in needed.items() if value is not None]:
            raise ValueError(
                f"auth.mode: {', '.join(given)} would have no effect, as jwt is not among the "
                "modes; set CHATKEEP_AUTH_MODE=jwt"
            )
        return self


class Models(_Section):
    """Which model answers."""

    provider: (
        Literal[
            "openai", "openrouter", "gemini", "ollama", "compatible", "embedded", "tour", "scripted"
        ]
        | None
    ) = Field(None, description="one of these names, when more than one could answer")
    name: str | None = Field(None, min_length=1, description="the model, as its provider names it")
    openai_api_key: Key | None = Field(None, description="a key of OpenAI or of the base URL")
    openai_base_url: URL | None = Field(
        None, description="an OpenAI-compatible URL, such as http://host/v1"
    )
    openrouter_api_key: Key | None = Field(None, description="a key of OpenRouter")
    gemini_api_key: Key | None = Field(None, description="a key of the Gemini API")
    ollama_host: str | None = Field(None, description="an Ollama server, such as 127.0.0.1:11434")
    gguf: Path | None = Field(None, description="a GGUF file for the embedded model")
    tour: bool = Field(True, description="whether the built-in tour can be chosen")
    context_tokens: int | None = Field(
        None, ge=1024, description="the tokens of the model's context, when it is not the default"
    )
    first_token_timeout: Seconds = Field(30, description="seconds until the first token")
    chunk_timeout: Seconds = Field(30, description="seconds between two tokens")
    total_timeout: Seconds = Field(600, description="seconds for a whole answer")
    titles: Literal["model", "words"] = Field(
        "model", description="whether the model names threads, or their first words do"
    )


class Files(_Section):
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


class Retention(_Section):
    """How long conversations are kept."""

    days: Annotated[Days, Field(ge=1)] | None = Field(
        None, description="days without a message after which a conversation is deleted"
    )
    tenants: Annotated[
        dict[Identifier, Annotated[Days, Field(ge=0)]], BeforeValidator(comma_pairs)
    ] = Field({}, description="other days for tenants, as acme=30,umbrella=0 (0: for ever)")


class Turns(_Section):
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


class Admin(_Section):
    """What operators can ask over HTTP."""

    token: Annotated[SecretStr, Field(min_length=32)] | None = Field(
        None, description="a secret of 32 characters or more; without one there is no /admin"
    )


class Shutdown(_Section):
    """How to stop."""

    grace: Seconds = Field(20, description="seconds that running answers get to finish")


class Log(_Section):
    """What is logged, and how."""

    format: Literal["console", "json"] = Field("console", description="console or json")
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error"
    )


class Settings(_Section):
    """The whole tree."""

    data_dir: HomePath = Field(Path(".chatkeep"), description="a directory that can be written")
    server: Server = Server()
    database: Database = Database()
    relay: Relay = Relay()
    auth: Auth = Auth()
    models: Models = Models()
    files: Files = Files()
    retention: Retention = Retention()
    turns: Turns = Turns()
    admin: Admin = Admin()
    shutdown: Shutdown = Shutdown()
    log: Log = Log()


def walk(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every field as (dotted name, value), in the order of the tree."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from walk(value, f"{name}.")
        else:
            yield prefix + name, value


def load_settings(
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    file: Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """Read all sources and return the tree.

    Args:
        environ: The environment; the process's own by default.
        directory: Where `chatkeep.toml` and `.env` are looked for; the working directory by
            default.
        file: A settings file that must exist, instead of `chatkeep.toml`.
        overrides: Dotted names and values that win over everything (command-line options).

    Raises:
        SettingsError: A value is wrong, unknown or contradicts another one.
    """
    environ = os.environ if environ is None else environ
    directory = Path.cwd() if directory is None else directory
    values: dict[str, tuple[object, str]] = {}
    values |= _read_file(file or directory / FILE_NAME, required=file is not None)
    values |= _read_names(_read_dotenv(directory / ".env"), f"{directory / '.env'}: ")
    values |= _read_names(environ, "environment variable ")
    values |= {k: (v, "command line") for k, v in (overrides or {}).items() if v is not None}
    settings = _build(values)
    _check_exposure(settings)
    return settings


def unknown_names(environ: Mapping[str, str]) -> list[str]:
    """Return `CHATKEEP_` names that mean nothing here, for a warning.

    Not an error: Kubernetes puts such names (`CHATKEEP_SERVICE_HOST`) into every container beside
    a service called chatkeep.
    """
    known = _known_names()
    return sorted(
        name
        for name in environ
        if name.startswith(PREFIX)
        and not name.startswith(f"{PREFIX}TEST_")
        and name.removesuffix("_FILE") not in known
    )


def _known_names() -> dict[str, str]:
    names = {PREFIX + dotted.replace(".", "_").upper(): dotted for dotted, _ in walk(Settings())}
    return names | ALIASES


def _read_file(path: Path, *, required: bool) -> dict[str, tuple[object, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if required:
            raise SettingsError(f"{path}: there is no such settings file") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({_reason(error)})") from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    known = {dotted for dotted, _ in walk(Settings())}
    sections = {dotted.partition(".")[0] for dotted in known if "." in dotted}
    flat: dict[str, tuple[object, str]] = {}
    for name, value in tree.items():
        nested = name in sections and isinstance(value, dict)
        entries = {f"{name}.{k}": v for k, v in value.items()} if nested else {name: value}
        for dotted, entry in entries.items():
            if dotted not in known:
                raise SettingsError(
                    f"{path}: unknown setting {dotted!r}; "
                    f"the settings are: {', '.join(sorted(known))}"
                )
            flat[dotted] = (entry, str(path))
    return flat


def _read_dotenv(path: Path) -> dict[str, str]:
    try:
        return {k: v for k, v in dotenv_values(path).items() if v is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({_reason(error)})") from error


def _read_names(environ: Mapping[str, str], where: str) -> dict[str, tuple[object, str]]:
    found: dict[str, tuple[object, str]] = {}
    for name, dotted in _known_names().items():
        if (value := _value_of(name, environ, where)) is None:
            continue
        if dotted in found and found[dotted][0] != value:
            other = found[dotted][1].removeprefix(where)
            raise SettingsError(f"{where}{name} and {other} contradict each other; set one of them")
        found[dotted] = (value, where + name)
    return found


def _value_of(name: str, environ: Mapping[str, str], where: str) -> str | None:
    """Return the value of a name or of the file that `NAME_FILE` points to; empty means unset."""
    direct, path = environ.get(name), environ.get(f"{name}_FILE")
    if direct and path:
        raise SettingsError(f"{where}{name} and {name}_FILE are both set; set one of them")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            # Not its name, which is a key when somebody mistook one for the other.
            raise SettingsError(
                f"{where}{name}_FILE: the file that it names cannot be read ({_reason(error)})"
            ) from error
    return direct or None


def _build(values: Mapping[str, tuple[object, str]]) -> Settings:
    tree: dict[str, Any] = {}
    for dotted, (value, _) in values.items():
        section, _, field = dotted.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[field] = value
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        path = [part for part in problem["loc"] if isinstance(part, str)]
        dotted = ".".join(path[:2])
        if dotted == "auth" and problem["type"] == "value_error":
            # Settings that do not go together; the sentence names them.
            raise SettingsError(str(problem["ctx"]["error"])) from error
        source = values.get(dotted, (None, "default"))[1]
        remedy = dict(_descriptions(Settings)).get(dotted, "")
        message = f"{dotted} ({source}): {problem['msg']}; expected {remedy}"
        raise SettingsError(message) from error


def _descriptions(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _descriptions(field.annotation, f"{name}.")
        else:
            yield prefix + name, field.description or ""


def _check_exposure(settings: Settings) -> None:
    """Anonymous users on a reachable address would be strangers with an open bill."""
    if "anonymous" in settings.auth.mode and not is_loopback(settings.server.host):
        raise SettingsError(
            f"server.host: {settings.server.host!r} can be reached from other machines, but "
            "auth.mode has 'anonymous', which is for loopback only; "
            "set HOST=127.0.0.1, or CHATKEEP_AUTH_MODE=jwt for users who sign in"
        )


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "not UTF-8"
