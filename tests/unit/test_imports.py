"""What waits is there by name, and is the real thing as soon as it is used."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import agents
import pytest
from agents import Agent, RunConfig
from agents.mcp import MCPUtil
from agents.run_internal import run_loop
from agents.sandbox import SandboxAgent
from agents.sandbox.runtime import SandboxRuntime
from pydantic import BaseModel, TypeAdapter

from chatkeep.imports import EXPORTS, PARTS
from chatkeep.imports.building import built_when_used
from chatkeep.imports.exports import ExportsFinder
from chatkeep.imports.standing_in import NoSandbox, no_sandbox, no_tools
from chatkeep.imports.waiting import Later, Part, WaitingFinder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that says when it runs, and whose modules need each other."""
    home = tmp_path / "waits"
    home.mkdir()
    (home / "__init__.py").write_text(
        "from .animals import Dog\nfrom .names import Name\nran = True\n__all__ = ['Dog']\n"
    )
    (home / "animals.py").write_text(
        "from .names import NAME\n"
        "class Dog:\n"
        "    def __init__(self, name=NAME): self.name = name\n"
        "    @classmethod\n"
        "    def pair(cls, *names): return [cls(name) for name in names]\n"
    )
    (home / "names.py").write_text("from . import animals\nNAME = 'Rex'\nclass Name: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "waits"
    for name in [name for name in sys.modules if name.startswith("waits")]:
        del sys.modules[name]


@pytest.fixture
def part(package: str, monkeypatch: pytest.MonkeyPatch) -> Part:
    """The package as a part that waits; a dog called `no` needs no real one, nor a pair of none."""
    instead = {
        "__call__": lambda name="": "no dog" if name == "no" else None,
        "pair": lambda *names: None if names else [],
    }
    part = Part(package, {"waits": {"Dog": instead}, "waits.animals": {"Dog": instead}})
    monkeypatch.setattr(sys, "meta_path", [WaitingFinder([part]), *sys.meta_path])
    return part


def ran() -> bool:
    """Whether the package has run."""
    return "ran" in vars(sys.modules["waits"])


def test_an_import_runs_nothing(part: Part) -> None:
    """Names can be taken, and checks of types answered, without a line of the package."""
    dog = import_module("waits.animals").Dog
    assert isinstance(dog, Later)
    assert not isinstance(3, dog)
    assert not issubclass(int, dog)
    assert not hasattr(sys.modules["waits"], "__wrapped__")  # as `inspect` asks of all modules
    assert dog("no") == "no dog"
    assert dog.pair() == []
    assert not part.used
    assert not ran()


@pytest.mark.parametrize(
    "use",
    [
        lambda dog: dog("Ada"),
        lambda dog: dog.pair("Ada")[0],
        lambda dog: dog.__name__,
        lambda dog: type("Puppy", dog.__mro_entries__(()), {})(),
        lambda _: import_module("waits").ran,
        lambda _: import_module("waits.names").NAME,  # which is not among the taken ones
        lambda _: import_module("waits").__all__,
    ],
)
def test_a_use_runs_the_package_in_its_own_order(part: Part, use: object) -> None:
    """Its modules are run once each, whichever is asked for first, and keep their identity."""
    waiting = import_module("waits.animals")
    dog = waiting.Dog
    assert callable(use)
    assert use(dog)
    assert part.used
    assert ran()
    assert import_module("waits.animals") is waiting
    assert type(waiting) is ModuleType
    assert waiting.Dog is import_module("waits").Dog
    assert isinstance(waiting.Dog(), dog)
    assert issubclass(waiting.Dog, dog)
    assert dog("no").name == "no"  # nothing stands in any more
    assert import_module("waits.names").animals is waiting
    assert import_module("waits.names").Name is import_module("waits").Name
    for name in ("waits", "waits.animals", "waits.names"):
        assert sys.modules[name].__spec__.name == name
        assert "imports" not in type(sys.modules[name].__loader__).__module__


def test_a_name_that_is_not_there_is_an_error_as_ever(part: Part) -> None:
    """It takes the real module to know."""
    with pytest.raises(AttributeError, match="no attribute 'Cat'"):
        _ = import_module("waits").Cat
    with pytest.raises(ImportError):
        import_module("waits.cats")
    assert part.used


def test_exports_are_run_one_by_one(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package's own lines run at once, and each module for its names only."""
    (tmp_path / "waits" / "cats.py").write_text("class Cat: pass\n")
    (tmp_path / "waits" / "__init__.py").write_text(
        "from .animals import (Dog as Dog,\n Dog as Hound)\nfrom .cats import Cat\nX = 1\n"
    )
    monkeypatch.setattr(sys, "meta_path", [ExportsFinder([package]), *sys.meta_path])
    waits = import_module(package)
    assert waits.X == 1
    assert {"waits.animals", "waits.cats"}.isdisjoint(sys.modules)
    assert waits.Hound is waits.Dog is import_module("waits.animals").Dog
    assert "waits.cats" not in sys.modules
    assert {"Cat", "Dog", "Hound", "X"} <= set(dir(waits))
    with pytest.raises(AttributeError, match="module 'waits' has no attribute 'Cow'"):
        _ = waits.Cow


REAL = """
import sys
from chatkeep.imports import PARTS, import_later
import_later()
import chatkeep.app
import chatkeep.cli
import structlog.dev
from openai.types.responses import Response, ResponseUsage
from openai.types import Batch
import agents
assert not any(part.used for part in PARTS), [part.name for part in PARTS if part.used]
waiting = {name for name in sys.modules if any(name in part for part in PARTS)}
assert waiting == {name for part in PARTS for name in part.taken}, waiting

from agents.mcp import MCPServerStdio
import agents.mcp.server
assert MCPServerStdio is agents.mcp.server.MCPServerStdio
assert agents.agent.MCPUtil.get_all_function_tools.__func__ is (
    agents.mcp.util.MCPUtil.get_all_function_tools.__func__
)
server = MCPServerStdio(params={"command": "true"})
assert agents.Agent(name="a", mcp_servers=[server]).mcp_servers == [server]

import agents.sandbox.manifest
agent = agents.sandbox.SandboxAgent(name="b")
try:
    agents.run.SandboxRuntime(
        starting_agent=agent, run_config=None, run_state=None
    ).assert_agent_supported(agent)
except agents.UserError as error:
    assert "SandboxAgent" in str(error)
else:
    raise AssertionError
assert agents.sandbox.manifest.Manifest is agents.sandbox.Manifest

@agents.function_tool
def weather(city: str) -> str:
    '''Tell the weather.

    Args:
        city: Where.
    '''
    return city

assert weather.params_json_schema["properties"]["city"]["description"] == "Where."
import griffe
import markdown_it
assert "<em>" in markdown_it.MarkdownIt().render("*a*")
import rich.table
from rich.console import Console
Console(quiet=True).print(rich.table.Table())
"""


def test_the_real_libraries_wait_and_work() -> None:
    """The list is what a server imports of each part, and each part is whole when it is used."""
    run = subprocess.run([sys.executable, "-c", REAL], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("package", EXPORTS)
def test_packages_of_exports_do_nothing_else(package: str) -> None:
    """No other line of theirs needs a name that comes later, and every name is found."""
    module = import_module(package)
    tree = ast.parse(Path(inspect.getfile(module)).read_text())
    others = [node for node in tree.body if not isinstance(node, ast.ImportFrom | ast.Expr)]
    names = {node.id for other in others for node in ast.walk(other) if isinstance(node, ast.Name)}
    exports = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    assert exports
    assert not names & exports


def asked(source: str, name: str) -> set[str]:
    """The attributes that a piece of code takes of something."""
    return {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
    }


def test_what_runs_ask_of_a_sandbox() -> None:
    """What stands in has all of it, and is made from the same parameters."""
    for module in (agents.run, run_loop):
        used = asked(inspect.getsource(module), "sandbox_runtime")
        assert used
        assert used <= {name for name in dir(NoSandbox) if not name.startswith("_")}
    made = inspect.signature(SandboxRuntime).parameters
    assert list(made) == ["starting_agent", "run_config", "rollout_id", "run_state"]
    prepared = asked(inspect.getsource(run_loop), "prepared_sandbox")
    assert prepared == {"bindings", "input"}
    assert asked(inspect.getsource(agents.agent), "MCPUtil") == {"get_all_function_tools"}
    assert next(iter(inspect.signature(MCPUtil.get_all_function_tools).parameters)) == "servers"


async def test_what_stands_in_answers_as_the_real_ones_do() -> None:
    """Without a sandbox and without servers."""
    agent: Agent[None] = Agent(name="plain")
    real = SandboxRuntime[None](starting_agent=agent, run_config=None, run_state=None)
    ours = no_sandbox(run_config=RunConfig(), run_state=None)
    assert ours is not None
    question = {"current_agent": agent, "current_input": "Hi", "is_resumed_state": False}
    expected = await real.prepare_agent(context_wrapper=None, **question)
    found = await ours.prepare_agent(context_wrapper=None, **question)
    assert (found.bindings, found.input) == (expected.bindings, expected.input)
    assert (ours.enabled, ours.current_session) == (real.enabled, real.current_session)
    assert await ours.cleanup() == await real.cleanup()
    needy: Agent[None] = SandboxAgent(name="needs one")
    for runtime in (ours, real):
        with pytest.raises(agents.UserError, match="SandboxAgent execution requires"):
            runtime.assert_agent_supported(needy)
    nothing = no_tools([], False, None)
    assert nothing is not None
    assert await nothing == await MCPUtil.get_all_function_tools([], False, None, agent)


def test_what_stands_in_is_not_there_when_it_cannot_answer() -> None:
    """A sandbox in the settings of a run, and a server, take the real thing."""
    sandboxed = RunConfig(sandbox=agents.sandbox.SandboxRunConfig())
    assert no_sandbox(run_config=sandboxed, run_state=None) is None
    assert no_tools([object()]) is None
    assert {part.name for part in PARTS} >= {"agents.mcp", "agents.sandbox"}


def test_models_and_adapters_are_built_when_they_are_used() -> None:
    """Of what is made meanwhile nothing is built before its first use, and all of it works."""
    with built_when_used():

        class Inner(BaseModel):
            number: int = 1

        class Outer(BaseModel):
            inner: Inner
            anything: object = None

        adapter = TypeAdapter(dict[str, int])
    assert not Inner.__pydantic_complete__
    assert not Outer.__pydantic_complete__
    assert not adapter.pydantic_complete

    class After(BaseModel):
        number: int = 1

    assert After.__pydantic_complete__
    assert TypeAdapter(dict[str, int]).pydantic_complete
    outer = Outer.model_validate({"inner": {"number": "2"}})
    outer.anything = outer.inner  # of a class that was validated as a part only
    assert outer.model_dump() == {"inner": {"number": 2}, "anything": {"number": 2}}
    assert Outer.__pydantic_complete__
    assert adapter.validate_python({"a": "1"}) == {"a": 1}
