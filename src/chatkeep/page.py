"""What the chat page is told."""

from typing import Any

from agents import Agent

from chatkeep.models.catalog import Catalog

_PROMPTS = [
    {"label": "What is Chatkeep?", "prompt": "What is Chatkeep?"},
    {"label": "Connect a model", "prompt": "How do I connect a real model?"},
    {"label": "Show me formatting", "prompt": "Show me formatting in Markdown."},
]

_PAGE: dict[str, Any] = {
    "greeting": "What can I help you with?",
    "placeholder": "Message",
}


def page_config(
    catalog: Catalog, agent: Agent[Any] | None, *, hosted: bool, version: str
) -> dict[str, Any]:
    """Return what the chat page needs to know."""
    page = _PAGE | {"version": version}
    if hosted or (agent is not None and agent.model is not None):
        # What answers brings its model: there is nothing to choose, and nothing to excuse.
        return page | {"models": [], "prompts": [], "disclaimer": None}
    default = catalog.default
    return page | {
        "models": [
            {
                "id": entry.id,
                "label": entry.label,
                "description": entry.description,
                "default": entry is default,
            }
            for entry in catalog.entries
        ],
        "prompts": [] if agent else _PROMPTS,
        "disclaimer": default.disclaimer,
    }
