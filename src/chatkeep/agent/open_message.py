"""A message that a model is still writing."""

from dataclasses import dataclass, field

from chatkit.types import Annotation, AssistantMessageContent, AssistantMessageItem


@dataclass(slots=True)
class OpenPart:
    """A part of it: its text in the pieces that came, and its sources."""

    pieces: list[str] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)

    def content(self) -> AssistantMessageContent:
        """Return the part as it is now."""
        return AssistantMessageContent(text="".join(self.pieces), annotations=[*self.annotations])


@dataclass(slots=True)
class OpenMessage:
    """The message, and its parts by their index."""

    item: AssistantMessageItem
    parts: dict[int, OpenPart] = field(default_factory=dict)

    def finished(self) -> AssistantMessageItem | None:
        """Return the item with what was streamed, or None when that was nothing."""
        self.item.content = [self.parts[index].content() for index in sorted(self.parts)]
        spoken = any(part.text.strip() or part.annotations for part in self.item.content)
        return self.item if spoken else None
