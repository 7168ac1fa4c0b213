"""The tools that a provider runs itself, in the forms that ChatKit has for them.

Providers send their calls as output items, which may come as objects or, from some, as a part of
what they should be: a field that is missing is left out.
"""

from collections.abc import Iterable
from typing import Any

from chatkit.types import CustomTask, FileSource, FileTask, SearchTask, Task, URLSource

_MAX_SOURCES = 20
_MAX_TEXT = 4_000
_FORMATS = frozenset({"png", "jpeg", "webp"})


def task_of(item: Any, *, done: bool) -> Task | None:
    """Return the task that shows a call; None for what is no such call.

    Args:
        item: An output item.
        done: Whether the tool has ended.
    """
    make = _TASKS.get(item.type)
    if make is None:
        return None
    task: Task = make(item)
    task.status_indicator = "complete" if done else "loading"
    return task


def image_url(base64_image: str, output_format: str | None) -> str:
    """Return a generated image as a URL that holds it."""
    kind = output_format if output_format in _FORMATS else "png"
    return f"data:image/{kind};base64,{base64_image}"


def _search(item: Any) -> SearchTask:
    action = getattr(item, "action", None)
    asked = [*_texts(getattr(action, "queries", None)), *_texts([getattr(action, "query", None)])]
    pages = [getattr(action, "url", None)]
    pages += [getattr(source, "url", None) for source in getattr(action, "sources", None) or ()]
    queries = list(dict.fromkeys(asked))
    return SearchTask(
        title="Searched the web",
        title_query=queries[0] if queries else None,
        queries=queries,
        sources=[URLSource(title=url, url=url) for url in dict.fromkeys(_addresses(pages))],
    )


def _file_search(item: Any) -> FileTask:
    results = getattr(item, "results", None) or ()
    names = dict.fromkeys(_texts(getattr(result, "filename", None) for result in results))
    return FileTask(
        title="Searched files", sources=[FileSource(title=name, filename=name) for name in names]
    )


def _code(item: Any) -> CustomTask:
    code = getattr(item, "code", None)
    shown = f"```python\n{code[:_MAX_TEXT]}\n```" if isinstance(code, str) and code else None
    return CustomTask(title="Ran code", icon="square-code", content=shown)


_TASKS: dict[str, Any] = {
    "web_search_call": _search,
    "file_search_call": _file_search,
    "code_interpreter_call": _code,
}


def _texts(values: Iterable[Any] | None) -> list[str]:
    found = [value[:_MAX_TEXT] for value in values or () if isinstance(value, str) and value]
    return found[:_MAX_SOURCES]


def _addresses(values: Iterable[Any]) -> list[str]:
    return [url for url in _texts(values) if url.startswith(("https://", "http://"))]
