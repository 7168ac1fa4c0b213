"""Settings of the models that answer."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from chatkeep.settings.section import Section
from chatkeep.settings.types import URL, Key, Seconds


class Models(Section):
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
    summaries: Literal["off", "on"] = Field(
        "off", description="off, or on: what does not fit into a model's context is summarised"
    )
    summary_model: str | None = Field(
        None, min_length=1, description="the id of a model of the list that writes summaries"
    )
