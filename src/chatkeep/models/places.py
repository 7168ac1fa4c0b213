"""Where the provider of a model is, and what speaks to it: one endpoint for all of its models."""

from collections.abc import Awaitable, Callable

from chatkeep.errors import SettingsError
from chatkeep.models.choice import ModelsConfig, ollama_url
from chatkeep.models.clients import Address, Endpoint
from chatkeep.models.offers import EndpointConfig
from chatkeep.models.profiles import PROFILES, Profile

_OPENAI_KEY = "OPENAI_API_KEY"
"""Also the key for `OPENAI_BASE_URL`, whatever answers there."""


class Places:
    """The endpoints of a configuration, opened when the first model of each is.

    Args:
        config: What is known of providers.
    """

    def __init__(self, config: ModelsConfig) -> None:
        self._config = config
        self._asking = "models.offered" if config.offered else "models.provider"
        self._open: dict[str, Endpoint] = {}

    @property
    def closers(self) -> list[Callable[[], Awaitable[None]]]:
        """What closes them."""
        return [endpoint.aclose for endpoint in self._open.values()]

    @property
    def endpoints(self) -> list[Endpoint]:
        """Those that were opened."""
        return list(self._open.values())

    def profile_of(self, provider: str) -> Profile:
        """Return the profile of a provider or endpoint."""
        return PROFILES[self.name_of(provider)]

    def name_of(self, provider: str) -> str:
        """Return the name of its profile."""
        own = self._config.endpoints.get(provider)
        return own.profile if own else provider

    def address_of(self, provider: str) -> Address:
        """Return how a provider or endpoint is reached.

        Raises:
            SettingsError: It has no address, or no key.
        """
        return self._reached(provider)[0]

    def open(self, provider: str) -> Endpoint:
        """Return the endpoint of a provider; nothing is contacted.

        Raises:
            SettingsError: It has no address, or no key, or it cannot be reached as it is said.
        """
        if provider not in self._open:
            address, settings = self._reached(provider)
            label = self.profile_of(provider).label
            hint = f"Check the {label} at {address.place} and the settings {', '.join(settings)}."
            self._open[provider] = Endpoint(address, hint)
        return self._open[provider]

    def _reached(self, provider: str) -> tuple[Address, list[str]]:
        """Return the address of a provider, and the settings that it depends on."""
        config, profile = self._config, self.profile_of(provider)
        own = config.endpoints.get(provider) or EndpointConfig(provider)
        named = "models.offered" if config.offered else "MODEL_NAME"
        where = [f"models.endpoints.{provider}"] if provider in config.endpoints else []
        base_url = own.base_url or self._base_url(own.profile, profile)
        if base_url is None:
            raise SettingsError(self._without_url(provider))
        key_name = profile.key_name
        if key_name is None and base_url == config.base_url:
            key_name = _OPENAI_KEY
        key = own.api_key or config.keys.get(key_name or "")
        if key is None and profile.key_name and own.base_url is None:
            raise SettingsError(f"{self._asking}: {provider} needs a key; set {profile.key_name}")
        keys = [key_name] if key_name and key and own.api_key is None else []
        url = [] if own.base_url else self._url_setting(own.profile, base_url)
        address = Address(
            base_url,
            key=key or "none",
            headers=own.headers,
            ca_file=own.ca_file,
            proxy=own.proxy,
            http2=own.http2,
            named=where[0] if where else "models",
        )
        return address, [*where, *url, named, *keys]

    def _base_url(self, name: str, profile: Profile) -> str | None:
        if name == "ollama":
            return ollama_url(self._config.ollama_host)
        # A gateway to OpenAI, or a server that everybody has somewhere else.
        if self._config.base_url and (name == "openai" or profile.key_name is None):
            return self._config.base_url
        if self._config.base_url and profile.base_url is None:
            return self._config.base_url
        return profile.base_url

    def _url_setting(self, name: str, base_url: str) -> list[str]:
        """Return the setting that an address comes from, if it comes from one."""
        if name == "ollama":
            return ["OLLAMA_HOST"]
        return ["OPENAI_BASE_URL"] if base_url == self._config.base_url else []

    def _without_url(self, provider: str) -> str:
        if provider == "compatible":
            return f"{self._asking}: compatible needs a URL; set OPENAI_BASE_URL"
        return (
            f"{self._asking}: {provider} needs a URL; set base_url below "
            f"[models.endpoints.{provider}], or OPENAI_BASE_URL"
        )
