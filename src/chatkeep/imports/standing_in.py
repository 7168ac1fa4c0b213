"""What a run of the Agents SDK asks of parts that it does without.

Each run asks for the tools of an agent's MCP servers, and makes a `SandboxRuntime`, which it asks
at every turn. Without servers there are none, and without a sandbox it hands back what it was
given. Only the SDK's own modules call what is here.
"""

import sys
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents import Agent, RunConfig, RunState, Tool, TResponseInputItem
    from agents.mcp import MCPServer
    from agents.result import RunResultBase
    from agents.run_internal.agent_bindings import AgentBindings


@dataclass(frozen=True, slots=True)
class Prepared:
    """An agent as it is, and its input."""

    bindings: "AgentBindings[Any]"
    input: "str | list[TResponseInputItem]"


def no_tools(
    servers: "Sequence[MCPServer]", *_: object, **__: object
) -> "Awaitable[list[Tool]] | None":
    """Return the tools of no servers; None when there is one."""

    async def none() -> "list[Tool]":
        return []

    return None if servers else none()


class NoSandbox:
    """`SandboxRuntime` of a run that has none."""

    enabled = False
    current_session = None

    def apply_result_metadata(self, result: "RunResultBase") -> None:
        """Say that there is no session."""
        result._sandbox_session = None  # noqa: SLF001 - as what this stands for

    def assert_agent_supported(self, agent: "Agent[Any]") -> None:
        """Refuse an agent that needs a sandbox; there is none before their module is used."""
        module = sys.modules.get("agents.sandbox.sandbox_agent")
        if module is not None and isinstance(agent, module.SandboxAgent):
            from agents import UserError  # noqa: PLC0415 - the SDK is there when this is called

            raise UserError("SandboxAgent execution requires `RunConfig(sandbox=...)`")

    async def prepare_agent(
        self,
        *,
        current_agent: "Agent[Any]",
        current_input: "str | list[TResponseInputItem]",
        **_: object,
    ) -> Prepared:
        """Return the agent as it is."""
        from agents.run_internal.agent_bindings import bind_public_agent  # noqa: PLC0415 - as above

        self.assert_agent_supported(current_agent)
        return Prepared(bind_public_agent(current_agent), current_input)

    async def enqueue_memory_result(self, *_: object, **__: object) -> None:
        """Keep nothing: there is no memory."""

    async def enqueue_memory_payload(self, *_: object, **__: object) -> None:
        """Keep nothing: there is no memory."""

    async def cleanup(self) -> None:
        """End nothing, and leave nothing to resume."""


def no_sandbox(
    *,
    run_config: "RunConfig | None",
    run_state: "RunState[Any] | None",
    **_: object,
) -> NoSandbox | None:
    """Return what stands in for a `SandboxRuntime`; None when the run may need one."""
    configured = run_config is not None and run_config.sandbox is not None
    resumed = run_state is not None and run_state._sandbox is not None  # noqa: SLF001 - as above
    return None if configured or resumed else NoSandbox()
