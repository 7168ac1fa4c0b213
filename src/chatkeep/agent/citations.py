"""A provider's citations, in ChatKit's form."""

from typing import Any

from chatkit.types import Annotation, FileSource, URLSource
from pydantic import BaseModel


def annotation_of(raw: Any) -> Annotation | None:
    """Return a provider's citation as ours, or None for a kind that has no source.

    Known are `url_citation`, and those of files: `file_citation`, `container_file_citation`. What
    is not of the right type counts as missing.
    """
    # Some come as plain dicts, others as objects.
    fields = raw.model_dump(warnings=False) if isinstance(raw, BaseModel) else raw
    if not isinstance(fields, dict):
        return None
    index = fields.get("end_index", fields.get("index"))
    index = index if isinstance(index, int) else None
    if fields.get("type") == "url_citation":
        url = _text(fields.get("url"))
        title = _text(fields.get("title")) or url
        return Annotation(source=URLSource(url=url, title=title), index=index) if url else None
    if filename := _text(fields.get("filename")):
        return Annotation(source=FileSource(filename=filename, title=filename), index=index)
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
