"""A server whose provider is played from files, and a browser at it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agents import Agent, function_tool

from chatkeep.testing.client import ChatKitClient
from support.replay import ReplayedProvider

NAMES = ("openai", "openrouter", "gemini", "ollama", "compatible")


class Clock:
    """An agent with one tool, and what that was asked."""

    def __init__(self) -> None:
        self.zones: list[str] = []

        @function_tool
        def clock(zone: str) -> str:
            """Tell the time in a zone."""
            self.zones.append(zone)
            return "noon"

        self.agent = Agent(name="a", instructions="Be brief.", tools=[clock])


@dataclass(frozen=True, slots=True)
class Played:
    """A browser at a server whose provider is played."""

    provider: ReplayedProvider
    client: ChatKitClient
    clock: Clock


type Play = Callable[[str], Awaitable[Played]]
