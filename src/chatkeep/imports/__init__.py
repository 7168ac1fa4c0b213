"""Parts of libraries that a process of ours imports when they are used, and not before.

The SDKs import all they have: clients and servers of MCP with the types of each version of that
protocol, sandboxes with their mounts and shells, every type of OpenAI's API. That is half of a
start's time and a third of its memory, and `chatkeep` may never be asked for any of it.

An application that imports Chatkeep has the libraries as they come: what is here changes how a
process imports, and only the command line's process is ours.
"""

import sys

from chatkeep.imports.exports import ExportsFinder
from chatkeep.imports.standing_in import no_sandbox, no_tools
from chatkeep.imports.waiting import Part, WaitingFinder

# What else imports of them when it is imported itself: tests/unit/test_imports.py reads that anew
# from the libraries.
PARTS = (
    Part("agents.mcp", {"agents.mcp": {"MCPUtil": {"get_all_function_tools": no_tools}}}),
    Part(
        "agents.sandbox",
        {
            "agents.sandbox": {},
            "agents.sandbox.capabilities": {},
            "agents.sandbox.capabilities.capability": {"Capability": {}},
            "agents.sandbox.memory": {},
            "agents.sandbox.memory.rollouts": {"terminal_metadata_for_exception": {}},
            "agents.sandbox.runtime": {"SandboxRuntime": {"__call__": no_sandbox}},
            "agents.sandbox.session": {},
            "agents.sandbox.session.base_sandbox_session": {"BaseSandboxSession": {}},
        },
    ),
    # Reads the docstrings of functions that become tools.
    Part("griffe", {"griffe": {"Docstring": {}, "DocstringSectionKind": {}}}),
    # Prints tracebacks with the values of variables, which our logs never hold.
    Part(
        "rich",
        {
            "rich": {},
            "rich.console": {"Console": {}},
            "rich.pretty": {},
            "rich.traceback": {"Traceback": {}},
        },
    ),
    # Shared conversations as pages.
    Part(
        "markdown_it",
        {"markdown_it": {"MarkdownIt": {}}, "markdown_it.token": {"Token": {}}},
    ),
    # Starts a server anew when its files change.
    Part("watchfiles", {"watchfiles": {"watch": {}}}),
)

EXPORTS = (
    "openai.types",
    "openai.types.chat",
    "openai.types.graders",
    "openai.types.responses",
    "sqlalchemy.ext.asyncio",
)


def import_later() -> None:
    """Let what is listed here wait from now on; what is imported already stays."""
    sys.meta_path[:0] = [WaitingFinder(PARTS), ExportsFinder(EXPORTS)]
