"""What is known of providers, and which one answers when there is no list of models."""

import socket
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from chatkeep.errors import SettingsError
from chatkeep.models.guard import Deadlines
from chatkeep.models.offers import EndpointConfig, Offer, OnBreak
from chatkeep.models.prices import Prices
from chatkeep.models.profiles import PROFILES
from chatkeep.models.retrying import RetryPolicy
from chatkeep.models.weights import find_weights

OLLAMA_PORT = 11434
_PROBE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ModelsConfig:
    """What is known of providers; keys are plain text here and never shown.

    Attributes:
        data_dir: Where the embedded model's weights may be.
        provider: Which one answers; None: the one that is configured.
        name: The model, as the provider names it.
        keys: Keys, by the names that people have them under.
        base_url: An OpenAI-compatible URL.
        ollama_host: An Ollama server.
        gguf: A file for the embedded model.
        tour: Whether the tour can be chosen.
        context_tokens: Of the model's context, when it is not the profile's.
        deadlines: Limits on each call.
        offered: The models to choose from, the default one first; none: one of the provider.
        endpoints: Where models answer that have no profile, or another address or key.
        on_break: What a broken answer of a model with a fallback does.
        retries: How often a model is asked, and when.
    """

    data_dir: Path
    provider: str | None = None
    name: str | None = None
    keys: dict[str, str] = field(default_factory=dict, repr=False)
    base_url: str | None = None
    ollama_host: str | None = None
    gguf: Path | None = None
    tour: bool = True
    context_tokens: int | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)
    offered: tuple[Offer, ...] = ()
    endpoints: dict[str, EndpointConfig] = field(default_factory=dict)
    on_break: OnBreak = "stop"
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    prices: Prices = field(default_factory=Prices)


def choose_provider(config: ModelsConfig) -> str:
    """Return the provider that the configuration means.

    Raises:
        SettingsError: It means several, or one that lacks something.
    """
    if config.provider is not None:
        _check(config, config.provider)
        return config.provider
    configured = _configured(config)
    if len(configured) > 1:
        causes = ", ".join(f"{cause} ({provider})" for provider, cause in configured.items())
        raise SettingsError(
            f"models.provider: several providers are configured: {causes}; "
            f"set CHATKEEP_PROVIDER to one of {', '.join(configured)}"
        )
    if configured:
        return next(iter(configured))
    if _ollama_runs():
        return "ollama"
    return "embedded" if embedded_available(config) else "tour"


def embedded_available(config: ModelsConfig) -> bool:
    """Whether the runtime and weights of the embedded model are installed."""
    return find_spec("xllamacpp") is not None and bool(find_weights(config.gguf, config.data_dir))


def ollama_url(host: str | None) -> str:
    """Return the base URL for an `OLLAMA_HOST`: `host`, `host:port` or a URL.

    Raises:
        SettingsError: It is none of these.
    """
    host = (host or "").strip()
    if host.count(":") > 1 and "[" not in host and "://" not in host:
        host = f"[{host}]"  # a bare IPv6 address
    try:
        parts = urlsplit(host if "://" in host else f"//{host}", scheme="http")
        port = parts.port or (443 if parts.scheme == "https" else OLLAMA_PORT)
    except ValueError as error:
        raise SettingsError(
            "models.ollama_host: not an address; set OLLAMA_HOST to host, host:port or a URL"
        ) from error
    # Servers read the same variable as the address to listen on; 0.0.0.0 is no place to call.
    name = "127.0.0.1" if parts.hostname in (None, "0.0.0.0", "::") else parts.hostname  # noqa: S104 - compared, not bound
    name = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{name}:{port}{parts.path.rstrip('/')}/v1"


def _configured(config: ModelsConfig) -> dict[str, str]:
    found = {}
    if config.base_url:
        found["compatible"] = "OPENAI_BASE_URL"
    for provider, profile in PROFILES.items():
        name = profile.key_name
        if name in config.keys and not (config.base_url and name == "OPENAI_API_KEY"):
            found.setdefault(provider, str(name))
    if config.ollama_host:
        found["ollama"] = "OLLAMA_HOST"
    return found


def _check(config: ModelsConfig, provider: str) -> None:
    if provider == "embedded" and not embedded_available(config):
        raise SettingsError(
            "models.provider: the embedded model is not installed; "
            "install chatkeep[local] and run 'chatkeep model fetch'"
        )


def _ollama_runs() -> bool:
    """Whether something listens where Ollama does, on this machine only."""
    try:
        with socket.create_connection(("127.0.0.1", OLLAMA_PORT), _PROBE_SECONDS):
            return True
    except OSError:
        return False
