"""What is sent by chat completions, to each kind of provider."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from openai import omit

from chatkeep.models.call_memory import CallMemory
from chatkeep.models.normalising import Delta, Ending
from chatkeep.models.profiles import PROFILES, Profile
from chatkeep.models.requests import adapted
from chatkeep.models.tool_calls import ToolCall

PLAIN = Profile(label="P", base_url=None, default_model=None, key_name=None)
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}


def sent(profile: Profile, memory: CallMemory | None = None, **fields: Any) -> dict[str, Any]:
    """Return what is sent when the SDK asks for these fields."""
    asked = {"messages": [], "tools": omit, "temperature": omit, **fields}
    return adapted(asked, profile, "sk-key", memory or CallMemory())


def message(profile: Profile, memory: CallMemory | None = None, **fields: Any) -> dict[str, Any]:
    """Return what is sent of one message."""
    (found,) = sent(profile, memory, messages=[fields])["messages"]
    assert isinstance(found, dict)
    return found


def calling(call_id: str, arguments: str = "{}") -> dict[str, Any]:
    """A message of the assistant that calls a tool."""
    function = {"name": "look", "arguments": arguments}
    calls = [{"id": call_id, "type": "function", "function": function}]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def test_what_is_asked_for_is_not_changed() -> None:
    """The SDK's own objects stay as they are; what it leaves out is not sent."""
    asked = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}
    kept = json.dumps(asked)
    found = sent(replace(PLAIN, images=False), messages=[asked], model="m")
    assert json.dumps(asked) == kept
    assert set(found) == {"messages", "model", "extra_body", "extra_headers"}


def test_images_and_files_that_are_not_taken() -> None:
    """A note takes their place, and what is text then is sent as text."""
    text = {"type": "text", "text": "What is this?"}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    file = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}}
    said = {"role": "user", "content": [text, image, file]}
    blind = message(PROFILES["deepseek"], **said)
    assert blind["content"].startswith("What is this?\n\n[An image was here")
    assert "[A file was here" in blind["content"]
    seeing = message(PROFILES["groq"], **said)["content"]
    assert [part["type"] for part in seeing] == ["text", "image_url", "text"]
    assert message(PROFILES["openai"], **said)["content"] == [text, image, file]


def test_ids_of_calls() -> None:
    """Those that the provider refuses are replaced, alike in call and result."""
    ours = "tc_" + "a" * 36
    for profile, pattern in ((PROFILES["mistral"], "[A-Za-z0-9]{9}"), (PLAIN, ours)):
        call = message(profile, **calling(ours))["tool_calls"][0]
        output = message(profile, role="tool", tool_call_id=ours, content="x")
        assert re.fullmatch(pattern, call["id"])
        assert output["tool_call_id"] == call["id"]
    assert len(message(PLAIN, **calling("x" * 80))["tool_calls"][0]["id"]) == 9
    assert (
        message(PROFILES["mistral"], **calling("AbCdEf123"))["tool_calls"][0]["id"] == "AbCdEf123"
    )


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", "", "x" * 9_000])
def test_bad_arguments_do_not_spoil_later_requests(arguments: str) -> None:
    """What a model wrote that is no object comes back as one."""
    call = message(PLAIN, **calling("tc_1", arguments))["tool_calls"][0]
    found = json.loads(call["function"]["arguments"])
    assert found["invalid"] == arguments[:2_000]


def test_fields_that_a_provider_does_not_know() -> None:
    """Mistral refuses messages with any, and requests with some."""
    odd = {**calling("AbCdEf123"), "reasoning_content": "Hm.", "annotations": []}
    assert set(message(PROFILES["mistral"], **odd)) == {"role", "content", "tool_calls"}
    found = sent(PROFILES["mistral"], stream=True, store=True, metadata={}, tools=[])
    assert not {"stream_options", "store", "metadata", "tools"} & set(found)


def test_a_refusal_goes_back_as_text() -> None:
    """Few servers know the field."""
    found = message(PLAIN, role="assistant", refusal="No.")
    assert found == {"role": "assistant", "content": "No."}


def test_usage_is_asked_for_where_it_must_be() -> None:
    """Streams only; what the settings say stays."""
    assert sent(PLAIN, stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent(PLAIN)
    assert "stream_options" not in sent(PROFILES["openrouter"], stream=True)
    own = {"include_usage": False}
    assert sent(PLAIN, stream=True, stream_options=own)["stream_options"] == own


def test_how_to_ask_for_thoughts() -> None:
    """A field, an object, or nothing; the settings' own body wins."""
    assert sent(PLAIN, reasoning_effort="low")["reasoning_effort"] == "low"
    router = sent(PROFILES["openrouter"], reasoning_effort="low")
    assert router["extra_body"] == {"reasoning": {"effort": "low"}}
    assert "reasoning_effort" not in router
    own = sent(
        PROFILES["openrouter"], reasoning_effort="low", extra_body={"reasoning": {"max_tokens": 9}}
    )
    assert own["extra_body"] == {"reasoning": {"max_tokens": 9}}
    assert "reasoning_effort" not in sent(PROFILES["anthropic"], reasoning_effort="low")


def test_the_shape_of_an_answer() -> None:
    """A schema where it is taken; else it is told."""
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    assert sent(PLAIN, response_format=wanted)["response_format"] == wanted
    for name, left in (("deepseek", {"type": "json_object"}), ("anthropic", None)):
        found = sent(PROFILES[name], response_format=wanted)
        assert found.get("response_format") == left
        assert json.dumps(SCHEMA) in found["messages"][0]["content"]
    plain = sent(PROFILES["deepseek"], response_format={"type": "json_object"})
    assert plain["messages"] == []


def test_tools() -> None:
    """They and what belongs to them are left out where they are not taken."""
    asked: dict[str, Any] = {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": True}
    assert sent(PLAIN, **asked).items() >= asked.items()
    assert "parallel_tool_calls" not in sent(PROFILES["ollama"], **asked)
    assert "tools" not in sent(replace(PLAIN, tools=False), **asked)


def test_names_of_fields_and_roles() -> None:
    """Some call the limit, or the role of instructions, otherwise."""
    assert sent(PROFILES["groq"], max_tokens=5)["max_completion_tokens"] == 5
    assert sent(PLAIN, max_tokens=5)["max_tokens"] == 5
    developer = replace(PLAIN, system_role="developer")
    assert message(developer, role="system", content="x")["role"] == "developer"


def test_headers() -> None:
    """Azure gets the key in its own, OpenRouter the name of the application."""
    assert sent(PROFILES["azure"])["extra_headers"] == {"api-key": "sk-key"}
    router = sent(PROFILES["openrouter"], extra_headers={"X-Title": "Mine", "A": "b"})
    assert router["extra_headers"] == {"X-Title": "Mine", "A": "b"}
    assert sent(PLAIN)["extra_headers"] == {}


def ending(call_id: str, thoughts: str = "", **extra: Any) -> Ending:
    """The end of an answer that calls a tool."""
    call = ToolCall(call_id, "look", "{}", extra or None)
    return Ending(Delta(), "tool_calls", [call], [], [], thoughts)


def test_thoughts_that_must_go_back() -> None:
    """DeepSeek gets them with the calls they led to, or a stand-in: nothing is refused as well."""
    memory = CallMemory(thoughts=True)
    memory.remember(ending("tc_1", "Hm."))
    deepseek = PROFILES["deepseek"]
    assert message(deepseek, memory, **calling("tc_1"))["reasoning_content"] == "Hm."
    assert message(deepseek, memory, **calling("tc_2"))["reasoning_content"] == " "
    said = {**calling("tc_1"), "reasoning_content": "Known."}
    assert message(deepseek, memory, **said)["reasoning_content"] == "Known."
    assert "reasoning_content" not in message(PLAIN, memory, **calling("tc_1"))


def test_the_memory_of_calls_has_an_end() -> None:
    """The oldest are forgotten, by number and by size."""
    memory = CallMemory(thoughts=True)
    for number in range(600):
        memory.remember(ending(f"tc_{number}", signature="s"))
    assert memory.of("tc_0") is None
    assert memory.of("tc_599") is not None
    memory.remember(ending("large", "x" * 7_000_000))
    memory.remember(ending("larger", "x" * 7_000_000))
    assert memory.of("large") is None
    assert memory.of("larger") is not None
    forgetful = CallMemory()
    forgetful.remember(ending("tc_1", "Hm."))
    assert forgetful.of("tc_1") is None
