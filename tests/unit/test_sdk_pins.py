"""What we override in the SDKs and rely on, so that a new version cannot move it unnoticed.

Before a pin moves: read the SDK's changes to every name here, then run everything.
"""

import inspect
import re
from importlib.metadata import requires, version
from typing import Any, get_args

import agents
import chatkit.agents
import chatkit.server
import chatkit.store
import httpx2
import pytest
from agents import Model, OpenAIChatCompletionsModel, OpenAIResponsesModel, RunResultStreaming
from chatkit.agents import AgentContext, ThreadItemConverter
from chatkit.server import ChatKitServer
from chatkit.store import Store, StoreItemType
from chatkit.types import ChatKitReq, is_streaming_req
from openai import AsyncOpenAI, AsyncStream
from openai._models import construct_type
from openai.types.responses import ResponseCompletedEvent, ResponseStreamEvent
from packaging.requirements import Requirement

from chatkeep.agent.context import TurnContext
from chatkeep.agent.convert import ItemConverter
from chatkeep.agent.warming import MODELS, warm
from chatkeep.models.compatible import ChatCompletions, CompatibleModel, _Responses
from chatkeep.models.scripted import ScriptedModel
from chatkeep.protocol.server import ChatkeepServer

PINS = {"openai-chatkit": "1.6.5", "openai-agents": "0.24.0"}


@pytest.mark.parametrize(("package", "pinned"), PINS.items())
def test_the_installed_versions_are_the_tested_pair(package: str, pinned: str) -> None:
    """Both are pinned exactly, and what is installed is what is pinned."""
    wanted = [Requirement(line) for line in requires("chatkeep") or []]
    (found,) = [requirement for requirement in wanted if requirement.name == package]
    assert str(found.specifier) == f"=={pinned}"
    assert version(package) == pinned


def parameters(function: Any) -> list[str]:
    """The names of a function's parameters, without `self`."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


COROUTINE, GENERATOR, PLAIN = "coroutine", "async generator", "plain"

SERVER = {
    # What we override, and what calls it there.
    "respond": (["thread", "input_user_message", "context"], PLAIN),
    "handle_stream_cancelled": (["thread", "pending_items", "context"], COROUTINE),
    # What we call, of any server.
    "_build_user_message_item": (["input", "thread", "context"], COROUTINE),
    "_process_events": (["thread", "context", "stream"], GENERATOR),
    "_process_non_streaming": (["request", "context"], COROUTINE),
    "_process_streaming_impl": (["request", "context"], GENERATOR),
    "_update_pending_items": (["pending_items", "event"], PLAIN),
    "_to_thread_response": (["thread"], PLAIN),
    "_serialize": (["obj"], PLAIN),
}


def kind_of(function: Any) -> str:
    """How a function runs."""
    if inspect.isasyncgenfunction(function):
        return GENERATOR
    return COROUTINE if inspect.iscoroutinefunction(function) else PLAIN


@pytest.mark.parametrize("name", SERVER)
def test_methods_of_the_server(name: str) -> None:
    """A method of `ChatKitServer` has the parameters and the kind we rely on."""
    method = getattr(ChatKitServer, name)
    assert (parameters(method), kind_of(method)) == SERVER[name]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ChatkeepServer, ChatKitServer),
        (TurnContext, AgentContext),
        (ItemConverter, ThreadItemConverter),
    ],
)
def test_an_override_takes_what_the_sdk_passes(ours: type, theirs: type) -> None:
    """Every method that we override still exists in the SDK, with the same parameters."""
    overridden = [
        name
        for name, value in vars(ours).items()
        if inspect.isfunction(value) and not name.startswith("__") and hasattr(theirs, name)
    ]
    assert overridden
    for name in overridden:
        assert parameters(getattr(ours, name)) == parameters(getattr(theirs, name)), name


def test_no_method_of_ours_hides_a_private_one_of_the_sdk() -> None:
    """The private names of our server are not those of the SDK's."""
    private = {name for name in vars(ChatkeepServer) if re.fullmatch(r"_[a-z].*", name)}
    assert private & set(vars(ChatKitServer)) == {"_abc_impl"}


def test_names_of_the_server_module() -> None:
    """The size of the SDK's pages, and the function that streams widgets."""
    assert chatkit.server.DEFAULT_PAGE_SIZE == 20
    assert parameters(chatkit.server.stream_widget) == [
        "thread",
        "widget",
        "copy_text",
        "generate_id",
    ]
    assert inspect.isasyncgenfunction(chatkit.server.stream_widget)


def test_the_parts_of_the_sdk_that_we_take_the_place_of() -> None:
    """What a host does by itself is done in no other place of the SDK's code."""
    new_message = inspect.getsource(ChatKitServer._process_new_thread_item_respond)
    assert "self.store.add_thread_item(thread.id, item" in new_message
    assert "yield ThreadItemDoneEvent(item=item)" in new_message
    assert "lambda: self.respond(thread, item, context)" in new_message
    assert "await self.handle_stream_cancelled(" in inspect.getsource(ChatKitServer._process_events)
    impl = inspect.getsource(ChatKitServer._process_streaming_impl)
    for kind in ("ThreadsAddClientToolOutputReq", "ThreadsAddStructuredInputReq"):
        assert f"case {kind}():" in impl
    assert "case ThreadsCustomActionReq():" in impl


def test_the_context_of_an_agent() -> None:
    """`AgentContext` has the fields that a turn fills and reads."""
    expected = {"thread", "store", "request_context", "client_tool_call", "workflow_item"}
    assert expected <= set(AgentContext.model_fields)
    assert parameters(AgentContext.generate_id) == ["type", "thread"]
    assert set(chatkit.agents.ClientToolCall.model_fields) == {"name", "arguments"}


def test_the_converter_has_a_method_for_each_kind() -> None:
    """A kind of item that the SDK converts in a new method needs a decision of ours."""
    methods = {n for n, v in vars(ThreadItemConverter).items() if inspect.isfunction(v)}
    assert methods == {
        "_thread_item_to_input_item",
        "assistant_message_to_input",
        "attachment_to_message_content",
        "client_tool_call_to_input",
        "end_of_turn_to_input",
        "generated_image_to_input",
        "hidden_context_to_input",
        "sdk_hidden_context_to_input",
        "structured_input_to_input",
        "tag_to_message_content",
        "task_to_input",
        "to_agent_input",
        "user_message_to_input",
        "widget_to_input",
        "workflow_to_input",
    }
    entry = ThreadItemConverter._thread_item_to_input_item
    assert parameters(entry) == ["item", "is_last_message"]
    assert kind_of(entry) == COROUTINE


def test_the_store_of_the_sdk() -> None:
    """A new abstract method of the SDK's store would make ours abstract, too."""
    assert {
        "add_thread_item",
        "delete_attachment",
        "delete_thread",
        "delete_thread_item",
        "load_attachment",
        "load_item",
        "load_thread",
        "load_thread_items",
        "load_threads",
        "save_attachment",
        "save_item",
        "save_thread",
    } == Store.__abstractmethods__
    assert parameters(Store.generate_thread_id) == ["context"]
    assert parameters(Store.generate_item_id) == ["item_type", "thread", "context"]
    assert set(get_args(StoreItemType)) == {
        "thread",
        "message",
        "tool_call",
        "task",
        "workflow",
        "attachment",
        "sdk_hidden_context",
    }


def test_the_requests_of_the_protocol() -> None:
    """A new request needs a place in the pre-flight."""
    members = get_args(get_args(ChatKitReq)[0])
    assert {get_args(member.model_fields["type"].annotation)[0] for member in members} == {
        "attachments.create",
        "attachments.delete",
        "input.transcribe",
        "items.feedback",
        "items.list",
        "threads.add_client_tool_output",
        "threads.add_structured_input",
        "threads.add_user_message",
        "threads.create",
        "threads.custom_action",
        "threads.delete",
        "threads.get_by_id",
        "threads.list",
        "threads.retry_after_item",
        "threads.sync_custom_action",
        "threads.update",
    }
    assert parameters(is_streaming_req) == ["request"]


def test_where_the_sdk_asks_for_a_client() -> None:
    """Its models send requests through `_get_client`, and use of it what our gateway has."""
    for theirs, ours in (
        (OpenAIChatCompletionsModel, ChatCompletions),
        (OpenAIResponsesModel, _Responses),
    ):
        assert kind_of(theirs._get_client) == PLAIN
        assert parameters(theirs._get_client) == []
        assert ours._get_client is not theirs._get_client
    fetch = inspect.getsource(OpenAIChatCompletionsModel._fetch_response)
    assert "await self._get_client().chat.completions.create(**create_kwargs)" in fetch
    assert "if isinstance(ret, ChatCompletion):\n            return ret\n" in fetch
    assert "return response, ret" in fetch
    fetch = inspect.getsource(OpenAIResponsesModel._fetch_response)
    assert "client = self._get_client()" in fetch
    assert "if not callable(stream_create):" in fetch
    assert fetch.count("await client.responses.create(**create_kwargs)") == 2


def test_what_the_gateway_uses_of_the_client() -> None:
    """A stream has its response, of which nothing has been read; events are constructed."""
    assert "response" in AsyncStream.__annotations__
    assert "self.response = response" in inspect.getsource(AsyncStream.__init__)
    # Later requests are sent past it.
    client = AsyncOpenAI(api_key="k")
    assert isinstance(client._client, httpx2.AsyncClient)
    assert parameters(AsyncOpenAI._make_status_error_from_response) == ["response"]
    event = {"type": "response.completed", "sequence_number": 1, "response": {"id": "r"}}
    made = construct_type(type_=ResponseStreamEvent, value=event)
    assert isinstance(made, ResponseCompletedEvent)
    assert made.response.id == "r"


@pytest.mark.parametrize("name", ["get_response", "stream_response"])
def test_the_interface_of_models(name: str) -> None:
    """Our models take what the SDK's runner passes."""
    expected = [
        "system_instructions",
        "input",
        "model_settings",
        "tools",
        "output_schema",
        "handoffs",
        "tracing",
        "previous_response_id",
        "conversation_id",
        "prompt",
    ]
    theirs = (Model, OpenAIChatCompletionsModel, OpenAIResponsesModel)
    assert [parameters(getattr(model, name))[:10] for model in theirs] == [expected] * 3
    assert parameters(getattr(ScriptedModel, name)) == expected
    assert parameters(getattr(CompatibleModel, name)) == ["args", "kwargs"]


def test_the_streamed_run() -> None:
    """A run can be cancelled, and its task waited for."""
    assert "run_loop_task" in {
        field.name for field in RunResultStreaming.__dataclass_fields__.values()
    }
    assert "mode" in parameters(RunResultStreaming.cancel)
    assert parameters(RunResultStreaming.stream_events) == []
    wanted = {"context", "max_turns", "run_config"}
    assert wanted <= set(parameters(agents.Runner.run_streamed))
    fields = {"model", "model_settings", "model_provider", "tracing_disabled"}
    assert fields <= {field.name for field in agents.RunConfig.__dataclass_fields__.values()}


def test_what_a_run_is_made_of() -> None:
    """An agent has no field that `agent.plain` does not know of, nor has the configuration."""
    assert {field.name for field in agents.Agent.__dataclass_fields__.values()} == {
        *("name", "handoff_description", "tools", "mcp_servers", "mcp_config", "instructions"),
        *("prompt", "handoffs", "model", "model_settings", "input_guardrails"),
        *("output_guardrails", "output_type", "hooks", "tool_use_behavior", "reset_tool_choice"),
    }
    assert parameters(agents.Agent.get_system_prompt) == ["run_context"]


def test_what_is_built_before_the_first_turn() -> None:
    """The SDKs put it off, and it can be done for them."""
    warm()
    assert all(model.__pydantic_complete__ for model in MODELS)


def test_what_the_sdk_logs_of_conversations_is_nothing() -> None:
    """By default the Agents SDK logs neither model nor tool data, not even of failures."""
    from agents import _debug  # noqa: PLC0415 - private, so looked up where it is needed

    assert _debug.DONT_LOG_MODEL_DATA
    assert _debug.DONT_LOG_TOOL_DATA
