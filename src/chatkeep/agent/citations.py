"""A provider's citations, in ChatKit's form."""

from typing import Any

from chatkit.types import Annotation, FileSource, URLSource


def annotation_of(raw: Any) -> Annotation | None:
    """Return a provider's citation as ours, or None for a kind that has no source.

    Known are `url_citation`, and those of files: `file_citation`, `container_file_citation`.
    """
    # Some come as plain dicts, others as objects.
    fields: dict[str, Any] = raw if isinstance(raw, dict) else raw.model_dump()
    index = fields.get("end_index", fields.get("index"))
    if fields.get("type") == "url_citation":
        url = fields.get("url")
        if not isinstance(url, str):
            return None
        return Annotation(source=URLSource(url=url, title=fields.get("title") or url), index=index)
    if filename := fields.get("filename"):
        return Annotation(source=FileSource(filename=filename, title=filename), index=index)
    return None
