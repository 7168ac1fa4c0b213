"""The providers that are known by name: one entry each.

What is sent is made from these entries alone (`requests.py`); how an answer is read does not
depend on them, as every stream may come from any of them through a gateway.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Profile:
    """How a provider is reached, and what it takes.

    Attributes:
        label: The name that people know it by.
        base_url: Where its OpenAI-compatible API is; None when the settings say.
        default_model: What answers when no model is named; None: the first one that it lists.
        key_name: The setting that holds the key; None when it needs none.
        responses_api: Whether it offers the Responses API, which we then prefer.
        context_tokens: A context that every current model of the provider has.
        key_header: A header that carries the key beside `Authorization`.
        tools: Whether it takes tools.
        parallel_tools: Whether it takes the field that allows several calls at once.
        images: Whether some of its models take images; else they are left out with a note.
        files: Whether some of its models take files; else they are left out with a note.
        json: What it takes for a shape of the answer: a JSON schema, the word that it is to be
            an object, or nothing. The schema is put into the instructions for the latter two.
        effort: How it is told how much to think: `reasoning_effort`, `reasoning: {effort}`, or
            not at all.
        stream_usage: Whether a stream has its usage by itself, or must be asked for it.
        system_role: The role of instructions.
        max_tokens: The field for the limit of the answer.
        call_ids: What it takes as ids of tool calls, as a regular expression; others are replaced.
        known_fields_only: Whether it refuses messages with fields that it does not know.
        omits: Fields of requests that it refuses.
        thoughts_back: Whether calls of tools are refused without the thoughts before them, also in
            later turns.
        headers: Sent with every request.
        body: Sent with every request, unless the settings of the model say otherwise.
        thoughts: Where its models' thoughts come, for the documentation.
        checked: How this entry was checked, for the documentation.
    """

    label: str
    base_url: str | None
    default_model: str | None
    key_name: str | None
    responses_api: bool = False
    context_tokens: int = 32_000
    key_header: str | None = None
    tools: bool = True
    parallel_tools: bool = True
    images: bool = True
    files: bool = False
    json: Literal["schema", "object", "none"] = "schema"
    effort: Literal["reasoning_effort", "reasoning"] | None = "reasoning_effort"
    stream_usage: Literal["asked", "always"] = "asked"
    system_role: Literal["system", "developer"] = "system"
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    call_ids: str = "[A-Za-z0-9_-]{1,40}"
    known_fields_only: bool = False
    omits: tuple[str, ...] = ()
    thoughts_back: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] = field(default_factory=dict)
    thoughts: str = "`reasoning_content`"
    checked: str = "documentation"


PROFILES: dict[str, Profile] = {
    "openai": Profile(
        label="OpenAI",
        base_url="https://api.openai.com/v1",
        default_model="gpt-5-mini",
        key_name="OPENAI_API_KEY",
        responses_api=True,
        context_tokens=128_000,
        files=True,
        max_tokens="max_completion_tokens",
        thoughts="summaries",
        checked="documentation, streams played",
    ),
    "azure": Profile(
        label="Azure OpenAI",
        base_url=None,
        default_model=None,
        key_name="AZURE_OPENAI_API_KEY",
        responses_api=True,
        context_tokens=128_000,
        key_header="api-key",
        files=True,
        max_tokens="max_completion_tokens",
        thoughts="summaries",
    ),
    "openrouter": Profile(
        label="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        default_model="openrouter/auto",
        key_name="OPENROUTER_API_KEY",
        files=True,
        effort="reasoning",
        stream_usage="always",
        headers={"X-Title": "Chatkeep"},
        thoughts="`reasoning`, `reasoning_details`",
        checked="documentation, streams played",
    ),
    "gemini": Profile(
        label="Gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai/",
        default_model="gemini-flash-latest",
        key_name="GEMINI_API_KEY",
        context_tokens=128_000,
        omits=("store", "metadata", "verbosity", "frequency_penalty", "presence_penalty"),
        thoughts="`<thought>` blocks, when asked for",
        checked="documentation, streams played",
    ),
    # Ollama gives a model 4,096 tokens unless its operator asked for more.
    "ollama": Profile(
        label="Ollama",
        base_url=None,
        default_model=None,
        key_name=None,
        context_tokens=4_096,
        parallel_tools=False,
        thoughts="`reasoning`",
        checked="documentation, streams played",
    ),
    "mistral": Profile(
        label="Mistral",
        base_url="https://api.mistral.ai/v1",
        default_model="mistral-medium-latest",
        key_name="MISTRAL_API_KEY",
        stream_usage="always",
        call_ids="[A-Za-z0-9]{9}",
        known_fields_only=True,
        omits=("stream_options", "store", "metadata", "verbosity", "top_logprobs", "logprobs"),
        thoughts="parts of the content",
    ),
    "groq": Profile(
        label="Groq",
        base_url="https://api.groq.com/openai/v1",
        default_model="openai/gpt-oss-20b",
        key_name="GROQ_API_KEY",
        max_tokens="max_completion_tokens",
        omits=("store", "verbosity", "top_logprobs", "logprobs"),
        thoughts="`reasoning`",
    ),
    "deepseek": Profile(
        label="DeepSeek",
        base_url="https://api.deepseek.com",
        default_model="deepseek-flash",
        key_name="DEEPSEEK_API_KEY",
        context_tokens=128_000,
        parallel_tools=False,
        images=False,
        json="object",
        thoughts_back=True,
    ),
    "xai": Profile(
        label="xAI",
        base_url="https://api.x.ai/v1",
        default_model="grok-latest",
        key_name="XAI_API_KEY",
        context_tokens=128_000,
        omits=("presence_penalty", "frequency_penalty"),
    ),
    "anthropic": Profile(
        label="Anthropic",
        base_url="https://api.anthropic.com/v1/",
        default_model="claude-sonnet-4-5",
        key_name="ANTHROPIC_API_KEY",
        context_tokens=128_000,
        json="none",
        effort=None,
        thoughts="not sent",
    ),
    "lmstudio": Profile(
        label="LM Studio",
        base_url="http://127.0.0.1:1234/v1",
        default_model=None,
        key_name=None,
        context_tokens=4_096,
        parallel_tools=False,
        thoughts="`reasoning_content` or `<think>` blocks",
    ),
    "vllm": Profile(
        label="vLLM",
        base_url="http://127.0.0.1:8000/v1",
        default_model=None,
        key_name=None,
        context_tokens=16_000,
        thoughts="`reasoning_content` or `reasoning`",
    ),
    "llamacpp": Profile(
        label="llama.cpp",
        base_url="http://127.0.0.1:8080/v1",
        default_model=None,
        key_name=None,
        context_tokens=4_096,
        thoughts="`reasoning_content`",
        checked="documentation, run",
    ),
    "compatible": Profile(
        label="OpenAI-compatible server",
        base_url=None,
        default_model=None,
        key_name=None,
        context_tokens=16_000,
        files=True,
        thoughts="any of these",
        checked="streams played, run",
    ),
}
