"""Structured logs, on standard error: lines for people or JSON for machines.

Message texts and secrets are never passed to a logger. Exceptions of libraries may quote them
(validation errors do, and so do answers of providers), so of an exception only its type and where
it was raised are written.
"""

import logging
import sys
import traceback
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_QUIET = "httpx2 httpcore2 openai aiosqlite alembic pymongo asyncio uvicorn.access".split()
_FRAMES = 12  # of a traceback: the innermost ones, where it happened


def configure(format: Literal["console", "json"], level: str) -> None:
    """Send every log record of this process through one formatter."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _where_it_was_raised,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_name_only)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


def _name_only(record: logging.LogRecord) -> bool:
    """Log the type of an exception where a library logs the exception itself."""
    record.msg = _named(record.msg)
    if isinstance(record.args, tuple):
        record.args = tuple(map(_named, record.args))
    elif record.args:
        record.args = {key: _named(value) for key, value in record.args.items()}
    if record.name == "asyncio":
        # The lines below the first show the task, and in it the exception with its text.
        record.msg, record.args = record.getMessage().partition("\n")[0], ()
    return True


def _named(value: Any) -> Any:
    return type(value).__name__ if isinstance(value, BaseException) else value


def describe(error: BaseException) -> dict[str, str]:
    """Return what may be logged of an exception: its type, and the frames that it passed."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    raised = " < ".join(f"{f.filename}:{f.lineno} {f.name}" for f in reversed(frames))
    return {"error": type(error).__name__, "raised": raised}


def tame_libraries() -> None:
    """Keep the texts of exceptions out of the SDK's log records, whoever configures logging.

    Its logger passes exceptions on as they are; without `configure`, as in an application of
    somebody else's, their texts and tracebacks would be printed.
    """
    logger = logging.getLogger("chatkit")
    if _without_texts not in logger.filters:
        logger.addFilter(_without_texts)


def _without_texts(record: logging.LogRecord) -> bool:
    _name_only(record)
    if record.exc_info and record.exc_info[1] is not None:
        described = describe(record.exc_info[1])
        record.msg = f"{record.getMessage()} raised at {described['raised']}"
        record.args, record.exc_info, record.exc_text = (), None, None
    return True


def _where_it_was_raised(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by the exception's type and the frames it passed."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event.update(describe(error))
    return event
