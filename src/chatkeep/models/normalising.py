"""Payloads of a chat-completions stream, as many kinds of servers send them → one kind of delta.

No I/O, and nothing of the SDK: JSON goes in, and small plain objects come out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from chatkeep.errors import ModelError, ModelInterruptedError, ModelUnavailableError
from chatkeep.models.calls import Tokens
from chatkeep.models.errors import of_object
from chatkeep.models.guard import Limits, SurrogateJoiner
from chatkeep.models.thinking import ThinkTags
from chatkeep.models.tool_calls import ToolCall, ToolCalls
from chatkeep.models.usage import tokens_in

type FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]

_REASONS: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "sensitive": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
}
_FAILURES = frozenset(
    "error abort aborted cancelled network_error insufficient_system_resource "
    "malformed_function_call engine_error".split()
)
_NOT_YET = frozenset({"", "null", "none"})
_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_MAX_CITATIONS = 200
_MAX_DETAILS = 500


@dataclass(slots=True)
class Delta:
    """What a piece of an answer says."""

    text: str = ""
    thought: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """A page that the answer is from."""

    url: str
    title: str
    start: int = 0
    end: int = 0


@dataclass(slots=True)
class Ending:
    """How an answer ended.

    Attributes:
        rest: What was held back until it was clear.
        finish: Why it ended.
        calls: The tools that the model calls.
        citations: The pages it is from.
        details: OpenRouter's `reasoning_details`, which it wants back with the calls.
        thoughts: All of them, when there are calls: DeepSeek wants those back.
    """

    rest: Delta
    finish: FinishReason
    calls: list[ToolCall]
    citations: list[Citation]
    details: list[dict[str, Any]]
    thoughts: str


class Normaliser:
    """Reads the payloads of one answer.

    Attributes:
        started: Whether text of the answer has come.
        tokens: What the provider has said that the call took, until now.
        characters: Of text, thoughts and arguments.
        thoughts_in: The field that the thoughts come in; None as long as there are none.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.started = False
        self.tokens: Tokens | None = None
        self.characters = 0
        self.thoughts_in: str | None = None
        self._limits = limits or Limits()
        self._begun = False
        self._finish: FinishReason | None = None
        self._tags = ThinkTags()
        self._joiners = SurrogateJoiner(), SurrogateJoiner(), SurrogateJoiner()
        self._calls = ToolCalls()
        self._citations: dict[str, Citation] = {}
        self._details: list[dict[str, Any]] = []
        self._thoughts: list[str] = []

    def feed(self, payload: Any, name: str = "") -> Delta | None:
        """Return what a payload says; None when it says nothing that is shown.

        Args:
            payload: Parsed JSON.
            name: The type of its event.

        Raises:
            ModelError: It is an error object, or no payload of this protocol at all.
        """
        if not isinstance(payload, dict):
            raise self._broken()
        error = payload.get("error") or (
            payload if name == "error" or payload.get("object") == "error" else None
        )
        if error:
            raise of_object(error, started=self.started)
        tokens = tokens_in(payload)
        if tokens is not None:
            self.tokens = tokens
        if "citations" in payload:
            self._cite(payload["citations"])
        choice = self._choice(payload.get("choices"))
        return None if choice is None else self._read(choice)

    def feed_text(self, text: str) -> Delta | None:
        """Return what a payload says that is one before, but for its text.

        Raises:
            ModelError: The answer is too long.
        """
        text, tagged = self._tags.feed(text)
        joined = self._joined(text, "" if self.thoughts_in else tagged, "")
        return self._counted(joined, 0)

    def end(self) -> Ending:
        """Return how the answer ended.

        Raises:
            ModelUnavailableError: Nothing came: what answers there is no provider.
            ModelInterruptedError: It broke off: no finish reason came.
            ModelError: It ended at the limit of tokens without a word.
        """
        if not self._begun:
            raise ModelUnavailableError
        calls = self._calls.finished(cut=self._finish == "length")
        if self._finish is None or (self._finish == "tool_calls" and not calls):
            raise ModelInterruptedError
        rest = self._rest()
        if self._finish == "length" and not (self.started or calls):
            raise ModelError("The model used up its tokens before it came to an answer.")
        thoughts = "".join([*self._thoughts, rest.thought]) if calls else ""
        citations = list(self._citations.values())
        return Ending(rest, self._finish, calls, citations, self._details, thoughts)

    def _broken(self) -> ModelError:
        return ModelInterruptedError() if self._begun else ModelUnavailableError()

    def _choice(self, choices: Any) -> Mapping[str, Any] | None:
        """Return the first choice; null in some servers' last chunk, which brings the usage."""
        if not choices:
            return None
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise self._broken()
        self._begun = True
        return next((choice for choice in choices if choice.get("index", 0) in (0, None)), None)

    def _read(self, choice: Mapping[str, Any]) -> Delta | None:
        if error := choice.get("error"):
            raise of_object(error, started=self.started)
        piece = choice.get("delta") or {}
        if not isinstance(piece, dict):
            raise self._broken()
        if not piece:
            # A whole answer has a message; as the last chunk of a stream it only repeats.
            message = choice.get("message")
            piece = message if isinstance(message, dict) and not self.characters else {}
        delta = self._delta(piece) if piece else None
        self._note_finish(choice.get("finish_reason"))
        return delta

    def _delta(self, piece: Mapping[str, Any]) -> Delta | None:
        thought = self._thought(piece)
        content = piece.get("content")
        if not isinstance(content, str | list | None):
            raise self._broken()
        text, more = _content(content)
        if text:
            text, tagged = self._tags.feed(text)
            # Those that come in a field as well are shown once.
            more += "" if self.thoughts_in else tagged
        refusal = piece.get("refusal")
        joined = self._joined(text, thought + more, refusal if isinstance(refusal, str) else "")
        return self._counted(joined, self._gather(piece))

    def _counted(self, joined: Delta, more: int) -> Delta | None:
        self.characters += len(joined.text) + len(joined.thought) + len(joined.refusal) + more
        if self.characters > self._limits.characters:
            raise ModelInterruptedError("The answer is longer than this server takes.")
        self.started = self.started or bool(joined.text or joined.refusal)
        if joined.thought:
            self._thoughts.append(joined.thought)
        return joined if joined.text or joined.thought or joined.refusal else None

    def _joined(self, text: str, thought: str, refusal: str) -> Delta:
        """Join the surrogates that were cut apart."""
        of_text, of_thought, of_refusal = self._joiners
        return Delta(
            of_text.feed(text) if text else "",
            of_thought.feed(thought) if thought else "",
            of_refusal.feed(refusal) if refusal else "",
        )

    def _gather(self, piece: Mapping[str, Any]) -> int:
        """Keep what is given out at the end, and return its size."""
        size = 0
        if isinstance(calls := piece.get("tool_calls"), list):
            size += sum(map(self._calls.add, calls))
        if isinstance(call := piece.get("function_call"), dict):
            size += self._calls.add({"function": call})
        if annotations := piece.get("annotations"):
            self._cite(annotations)
        if details := piece.get("reasoning_details"):
            size += self._keep_details(details)
        return size

    def _thought(self, piece: Mapping[str, Any]) -> str:
        """Return the thought of a piece; where several fields repeat it, that of the first one."""
        if self.thoughts_in is not None:
            return _plain(piece.get(self.thoughts_in))
        for name in _THOUGHTS:
            if thought := _plain(piece.get(name)):
                self.thoughts_in = name
                return thought
        return ""

    def _keep_details(self, details: Any) -> int:
        size = 0
        for detail in details if isinstance(details, list) else ():
            if not isinstance(detail, dict):
                continue
            last = self._details[-1] if self._details else {}
            same = all(last.get(name) == detail.get(name) for name in ("type", "index"))
            if last and same:
                for name, value in detail.items():
                    if name in _GROWING and isinstance(value, str):
                        last[name] = (last.get(name) or "") + value
                    elif value is not None:
                        last[name] = value
            elif len(self._details) < _MAX_DETAILS:
                self._details.append(dict(detail))
            size += len(str(detail.get("data") or ""))
        return size

    def _cite(self, sources: Any) -> None:
        for source in sources if isinstance(sources, list) else ():
            citation = _citation(source)
            if citation is not None and len(self._citations) < _MAX_CITATIONS:
                self._citations.setdefault(citation.url, citation)

    def _note_finish(self, reason: Any) -> None:
        if not isinstance(reason, str) or (name := reason.lower()) in _NOT_YET:
            return
        if name in _FAILURES:
            raise of_object(None, started=self.started)
        if name.startswith("content_filter"):  # some add why
            name = "content_filter"
        self._finish = _REASONS.get(name, "stop")

    def _rest(self) -> Delta:
        text, tagged = self._tags.end()
        rest = self._joined(text, "" if self.thoughts_in else tagged, "")
        of_text, of_thought, of_refusal = self._joiners
        rest.text += of_text.end()
        rest.thought += of_thought.end()
        rest.refusal += of_refusal.end()
        self.started = self.started or bool(rest.text or rest.refusal)
        return rest


_GROWING = ("text", "summary", "data")


def _content(content: Any) -> tuple[str, str]:
    """Return the text and the thoughts of a content: a text, or a list of parts."""
    if isinstance(content, str):
        return content, ""
    text = thought = ""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            text += part
        elif isinstance(part, dict) and part.get("type") in ("thinking", "reasoning"):
            thought += _plain(part.get("thinking") or part.get("text"))
        elif isinstance(part, dict):
            text += _plain(part.get("text"))
    return text, thought


def _plain(value: Any) -> str:
    """Return the text of a thought: a text, or a list of objects that have one."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return ""
    texts = (
        part.get("text") or part.get("summary") or part.get("content")
        for part in value
        if isinstance(part, dict)
    )
    return "".join(text for text in texts if isinstance(text, str))


def _citation(source: Any) -> Citation | None:
    """Return a source: an address, an object with one, or an annotation of a message."""
    if isinstance(source, str):
        source = {"url": source}
    if not isinstance(source, dict):
        return None
    fields = source.get("url_citation", source)
    if not isinstance(fields, dict) or not isinstance(url := fields.get("url"), str):
        return None
    if not url.startswith(("https://", "http://")):
        return None
    title = fields.get("title")
    start, end = fields.get("start_index"), fields.get("end_index")
    return Citation(
        url,
        title if isinstance(title, str) and title else url,
        start if isinstance(start, int) else 0,
        end if isinstance(end, int) else 0,
    )
