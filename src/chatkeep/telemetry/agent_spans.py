"""What agents do, as spans: which agent, model, tool or hand-off took how long, and failed or not.

The Agents SDK has a tracing of its own, which sends prompts and answers to its vendor when it finds
a key. Here it never does: its exporter is taken out, and what is in a span's place of content is
not looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import structlog
from agents import set_trace_processors, set_trace_provider, set_tracing_disabled
from agents.tracing import Span, Trace, TracingProcessor, setup
from agents.tracing.provider import DefaultTraceProvider

_NAMES = ("name", "agent_name", "model", "server", "to_agent")
_TOKENS = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AgentSpan:
    """A step of a run that has ended. There is no text of the conversation in it.

    Attributes:
        kind: What it is, in the SDK's words: `agent`, `generation`, `response`, `function`,
            `handoff`, `guardrail` and others.
        name: Of the agent, model, tool, guardrail or server.
        trace_id: The run.
        span_id: The step.
        parent_id: The step that it is part of.
        started_at: When it began.
        seconds: How long it took.
        failed: Whether it failed.
        tokens: `input_tokens` and `output_tokens`, where they are known.
    """

    kind: str
    name: str | None
    trace_id: str
    span_id: str
    parent_id: str | None
    started_at: datetime | None
    seconds: float | None
    failed: bool
    tokens: Mapping[str, int]


class SpanSink(Protocol):
    """Takes spans. It is called in the middle of runs: it must neither wait nor raise."""

    def ended(self, span: AgentSpan) -> None:
        """Take a span that has ended."""
        ...


class LogSink:
    """Writes spans to the log, one line each."""

    def ended(self, span: AgentSpan) -> None:
        """Write a line."""
        _log.info(
            "agent span",
            kind=span.kind,
            name=span.name,
            trace=span.trace_id,
            span=span.span_id,
            parent=span.parent_id,
            seconds=span.seconds,
            failed=span.failed,
            **span.tokens,
        )


class SpanProcessor(TracingProcessor):
    """Hands the spans of the Agents SDK to a sink."""

    def __init__(self, sink: SpanSink) -> None:
        self._sink = sink

    def on_trace_start(self, trace: Trace) -> None:
        """Do nothing: the spans say of which trace they are."""

    def on_trace_end(self, trace: Trace) -> None:
        """Do nothing."""

    def on_span_start(self, span: Span[Any]) -> None:
        """Do nothing: a span is told of at its end."""

    def on_span_end(self, span: Span[Any]) -> None:
        """Tell of a span."""
        self._sink.ended(_read(span))

    def shutdown(self) -> None:
        """Do nothing: nothing is kept here."""

    def force_flush(self) -> None:
        """Do nothing."""


def set_up(mode: Literal["off", "log"]) -> None:
    """Decide for this process where spans go: nowhere, or to the log. Never to the vendor."""
    if setup.GLOBAL_TRACE_PROVIDER is None:
        # The one that the SDK would make has an exporter, with an HTTP client and certificates.
        set_trace_provider(DefaultTraceProvider())
    set_trace_processors([SpanProcessor(LogSink())] if mode == "log" else [])
    set_tracing_disabled(mode == "off")


def _read(span: Span[Any]) -> AgentSpan:
    data = span.span_data
    names = (getattr(data, each, None) for each in _NAMES)
    started, ended = _moment(span.started_at), _moment(span.ended_at)
    return AgentSpan(
        kind=data.type,
        name=next((name for name in names if isinstance(name, str)), None),
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        started_at=started,
        seconds=round((ended - started).total_seconds(), 4) if started and ended else None,
        failed=span.error is not None,
        tokens=_tokens(data),
    )


def _tokens(data: Any) -> dict[str, int]:
    usage = getattr(data, "usage", None)
    if usage is None:
        usage = getattr(getattr(data, "response", None), "usage", None)
    if usage is None:
        return {}
    fields: Mapping[str, Any] = usage if isinstance(usage, dict) else vars(usage)
    found = {
        name: next((fields[each] for each in names if isinstance(fields.get(each), int)), None)
        for name, names in _TOKENS.items()
    }
    return {name: count for name, count in found.items() if count is not None}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
