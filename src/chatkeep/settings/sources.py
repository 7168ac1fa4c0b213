"""Where settings come from: a file, `.env`, the environment and the command line."""

import os
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import ValidationError

from chatkeep.errors import SettingsError
from chatkeep.loopback import is_loopback
from chatkeep.settings.models import KEYS
from chatkeep.settings.references import resolve
from chatkeep.settings.remedies import place_of, remedy_of
from chatkeep.settings.tree import Settings, walk
from chatkeep.settings.types import json_table

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
    "OPENAI_BASE_URL": "models.openai_base_url",
    "OLLAMA_HOST": "models.ollama_host",
} | KEYS
"""Environment names that are not `CHATKEEP_SECTION_FIELD`, and the fields they stand for."""


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
    dotenv = _read_dotenv(directory / ".env")
    values: dict[str, tuple[object, str]] = {}
    values |= _read_file(file or directory / FILE_NAME, required=file is not None)
    values |= _read_names(dotenv, f"{directory / '.env'}: ")
    values |= _read_names(environ, "environment variable ")
    values |= {k: (v, "command line") for k, v in (overrides or {}).items() if v is not None}
    _follow_references(values, dotenv, environ)
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
        return _text_of(Path(path), f"{where}{name}_FILE: the file that it names")
    return direct or None


def _text_of(path: Path, what: str) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        # Not its name, which is a key when somebody mistook one for the other.
        raise SettingsError(f"{what} cannot be read ({_reason(error)})") from error


def _follow_references(
    values: dict[str, tuple[object, str]], dotenv: Mapping[str, str], environ: Mapping[str, str]
) -> None:
    """Put secrets that stand elsewhere where the endpoints refer to them."""
    if "models.endpoints" not in values:
        return
    raw, source = values["models.endpoints"]
    with suppress(ValueError):  # not JSON, as the reader of the tree will say
        raw = json_table(raw)

    def look_up(kind: str, name: str) -> str | None:
        if kind == "file":
            return _text_of(Path(name).expanduser(), "a file of models.endpoints")
        found = _value_of(name, environ, "environment variable ")
        return found or _value_of(name, dotenv, ".env: ")

    values["models.endpoints"] = (resolve(raw, look_up), source)


def _build(values: Mapping[str, tuple[object, str]]) -> Settings:
    tree: dict[str, Any] = {}
    for dotted, (value, _) in values.items():
        section, _, field = dotted.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[field] = value
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        dotted = ".".join(str(part) for part in problem["loc"][:2])
        if len(problem["loc"]) == 1 and problem["type"] == "value_error":
            # Settings that do not go together; the sentence names them.
            raise SettingsError(str(problem["ctx"]["error"])) from error
        source = values.get(dotted, (None, "default"))[1]
        unknown = problem["type"] == "extra_forbidden"
        place = place_of(Settings, problem["loc"], unknown=unknown)
        remedy = remedy_of(Settings, problem["loc"])
        message = f"{place} ({source}): {problem['msg']}; expected {remedy}"
        raise SettingsError(message) from error


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
