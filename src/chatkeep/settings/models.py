"""Settings of the models that answer."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, create_model, model_validator

from chatkeep.models.profiles import PROFILES
from chatkeep.settings.offered import ModelPrice, Offers, known_provider
from chatkeep.settings.types import URL, Currency, Key, Seconds, json_table

KEYS = {
    profile.key_name: f"models.{profile.key_name.lower()}"
    for profile in PROFILES.values()
    if profile.key_name
}
"""The names under which people already have the keys of providers, and the fields for them."""

_key_fields: dict[str, Any] = {
    profile.key_name.lower(): (Key | None, Field(None, description=f"a key of {profile.label}"))
    for profile in PROFILES.values()
    if profile.key_name
}
_Keys = create_model("_Keys", __base__=Offers, **_key_fields)


class Models(_Keys):
    """Which models answer."""

    provider: Annotated[str, AfterValidator(known_provider)] | None = Field(
        None, description="a provider's name, when more than one could answer"
    )
    name: str | None = Field(None, min_length=1, description="the model, as its provider names it")
    openai_base_url: URL | None = Field(
        None, description="an OpenAI-compatible URL, such as http://host/v1"
    )
    ollama_host: str | None = Field(None, description="an Ollama server, such as 127.0.0.1:11434")
    gguf: Path | None = Field(None, description="a GGUF file for the embedded model")
    tour: bool = Field(True, description="whether the built-in tour can be chosen")
    context_tokens: int | None = Field(
        None, ge=1024, description="the tokens of the model's context, when it is not the default"
    )
    first_token_timeout: Seconds = Field(30, description="seconds until the first token")
    chunk_timeout: Seconds = Field(30, description="seconds between two tokens")
    total_timeout: Seconds = Field(600, description="seconds for a whole answer")
    tries: int = Field(
        3, ge=1, le=3, description="how often a model is asked when nothing has come, 1 to 3"
    )
    on_break: Literal["stop", "restart", "continue"] = Field(
        "stop", description="what a broken answer of a model with a fallback does"
    )
    titles: Literal["model", "words"] = Field(
        "model", description="whether the model names threads, or their first words do"
    )
    summaries: Literal["off", "on"] = Field(
        "off", description="off, or on: what does not fit into a model's context is summarised"
    )
    summary_model: str | None = Field(
        None, min_length=1, description="the id of a model of the list that writes summaries"
    )
    currency: Currency = Field("USD", description="three letters, as USD or EUR")
    prices: Annotated[dict[str, ModelPrice], BeforeValidator(json_table)] = Field(
        {}, description="prices of a million tokens by provider/name, with input and output"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        """Refuse one model and a list of models at the same time."""
        if self.offered and (self.provider or self.name):
            raise ValueError(
                "models.offered: CHATKEEP_PROVIDER and MODEL_NAME would have no effect beside a "
                "list of models; unset them"
            )
        return self

    def key(self, name: str) -> str | None:
        """Return the key that people have under a name, in plain text."""
        key: Key | None = getattr(self, name.lower())
        return key.get_secret_value() if key else None
