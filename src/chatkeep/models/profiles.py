"""The providers that are known by name: one entry each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """How a provider is reached.

    Attributes:
        label: The name that people know it by.
        base_url: Where its OpenAI-compatible API is; None when the settings say.
        default_model: What answers when no model is named; None: the first one that it lists.
        key_name: The setting that holds the key; None when it needs none.
        responses_api: Whether it offers the Responses API, which we then prefer.
        context_tokens: A context that every current model of the provider has.
    """

    label: str
    base_url: str | None
    default_model: str | None
    key_name: str | None
    responses_api: bool = False
    context_tokens: int = 32_000


PROFILES: dict[str, Profile] = {
    "openai": Profile(
        label="OpenAI",
        base_url="https://api.openai.com/v1",
        default_model="gpt-5-mini",
        key_name="OPENAI_API_KEY",
        responses_api=True,
        context_tokens=128_000,
    ),
    "openrouter": Profile(
        label="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        default_model="openrouter/auto",
        key_name="OPENROUTER_API_KEY",
    ),
    "gemini": Profile(
        label="Gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai/",
        default_model="gemini-flash-latest",
        key_name="GEMINI_API_KEY",
        context_tokens=128_000,
    ),
    # Ollama gives a model 4,096 tokens unless its operator asked for more.
    "ollama": Profile(
        label="Ollama", base_url=None, default_model=None, key_name=None, context_tokens=4_096
    ),
    "compatible": Profile(
        label="OpenAI-compatible server",
        base_url=None,
        default_model=None,
        key_name=None,
        context_tokens=16_000,
    ),
}
