"""What the chat page is told."""

from typing import Any

from chatkeep.files.attachments import MAX_PER_MESSAGE, FileLimits
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
    catalog: Catalog | None,
    tenant: str | None,
    *,
    has_agent: bool,
    files: FileLimits | None,
    transcribes: bool,
    version: str,
) -> dict[str, Any]:
    """Return what the chat page needs to know.

    Args:
        catalog: The models to choose from; None: what answers brings its own.
        tenant: That of the page's visitors, who come before they are known.
        has_agent: The developer's agent answers, which may have nothing to say about Chatkeep.
        files: What may be attached; None: what answers sees to files by itself.
        transcribes: What answers writes down speech.
        version: Of Chatkeep.
    """
    page = _PAGE | {"version": version}
    default = catalog.find(None, tenant) if catalog else None
    return page | {
        "models": catalog.choices(tenant) if catalog else [],
        "prompts": _PROMPTS if catalog and not has_agent else [],
        "disclaimer": default.disclaimer if default else None,
        "attachments": _attachments(files) if files and files.allowed_types else None,
        "dictation": transcribes,
    }


def _attachments(files: FileLimits) -> dict[str, Any]:
    """Return the element's option `composer.attachments`."""
    return {
        "enabled": True,
        "maxSize": files.max_bytes,
        "maxCount": MAX_PER_MESSAGE,
        "accept": {mime_type: [] for mime_type in files.allowed_types},
    }
