"""What is sent by chat completions, made to fit the provider's profile before it is sent."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from openai import Omit

from chatkeep.ids import call_id_of
from chatkeep.models.arguments import is_whole
from chatkeep.models.call_memory import Attached, CallMemory
from chatkeep.models.profiles import Profile

_KNOWN_FIELDS = frozenset({"role", "content", "name", "tool_calls", "tool_call_id"})
_LEFT_OUT = {
    "image_url": "[An image was here; this model does not take images.]",
    "file": "[A file was here; this model does not take files.]",
}
_MAX_BAD_ARGUMENTS = 2_000

type Fields = dict[str, Any]


def adapted(fields: Fields, profile: Profile, key: str, memory: CallMemory) -> Fields:
    """Return the arguments of `chat.completions.create`, as this provider takes them.

    Args:
        fields: The SDK's arguments; they are not changed.
        profile: What the provider takes.
        key: For a header of its own, where the provider wants one.
        memory: What came with earlier calls, and goes back with them.
    """
    sent = {name: value for name, value in fields.items() if not isinstance(value, Omit)}
    messages = [_message(message, profile, memory) for message in sent["messages"]]
    for name in profile.omits:
        sent.pop(name, None)
    if not profile.tools or not sent.get("tools"):
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            sent.pop(name, None)
    if not profile.parallel_tools:
        sent.pop("parallel_tool_calls", None)
    if profile.max_tokens != "max_tokens" and "max_tokens" in sent:
        sent[profile.max_tokens] = sent.pop("max_tokens")
    _ask_for_usage(sent, profile, memory)
    body = dict(profile.body)
    if (effort := sent.get("reasoning_effort")) and profile.effort != "reasoning_effort":
        del sent["reasoning_effort"]
        if profile.effort == "reasoning":
            body["reasoning"] = {"effort": effort}
    sent["messages"] = _with_schema(messages, sent, profile)
    # What the operator or the developer has set comes last, and wins.
    sent["extra_body"] = {**body, **(sent.get("extra_body") or {})} or None
    sent["extra_headers"] = {**headers(profile, key), **(sent.get("extra_headers") or {})}
    return sent


def headers(profile: Profile, key: str) -> dict[str, str]:
    """Return the headers that this provider gets with every request."""
    own = {profile.key_header: key} if profile.key_header else {}
    return {**profile.headers, **own}


def _ask_for_usage(sent: Fields, profile: Profile, memory: CallMemory) -> None:
    if not sent.get("stream") or memory.refuses_usage or "stream_options" in profile.omits:
        return
    if profile.stream_usage == "asked":
        sent.setdefault("stream_options", {"include_usage": True})


def _with_schema(messages: list[Fields], sent: Fields, profile: Profile) -> list[Fields]:
    """Put the schema of the answer into the instructions, where the provider takes none."""
    wanted = sent.get("response_format")
    if not isinstance(wanted, Mapping) or wanted.get("type") != "json_schema":
        return messages
    if profile.json == "schema":
        return messages
    if profile.json == "object":
        sent["response_format"] = {"type": "json_object"}
    else:
        del sent["response_format"]
    schema = json.dumps(wanted["json_schema"].get("schema"), ensure_ascii=False)
    told = f"Answer with nothing but a JSON object of this JSON schema:\n{schema}"
    return [{"role": profile.system_role, "content": told}, *messages]


def _message(message: Any, profile: Profile, memory: CallMemory) -> Fields:
    changed: Fields = dict(message)
    if changed.get("role") == "system":
        changed["role"] = profile.system_role
    if isinstance(content := changed.get("content"), list):
        changed["content"] = _content(content, profile)
    if (refusal := changed.pop("refusal", None)) and not changed.get("content"):
        changed["content"] = refusal  # few know the field
    if changed.get("tool_calls"):
        _attach(changed, profile, memory)
    if "tool_call_id" in changed:
        changed["tool_call_id"] = _call_id(changed["tool_call_id"], profile.call_ids)
    if profile.known_fields_only:
        changed = {name: value for name, value in changed.items() if name in _KNOWN_FIELDS}
    return changed


def _attach(message: Fields, profile: Profile, memory: CallMemory) -> None:
    """Make calls of an earlier answer what the provider takes, with what came beside them."""
    calls = message["tool_calls"]
    attached = next((found for call in calls if (found := memory.of(call["id"]))), None)
    message["tool_calls"] = [_call(call, profile, memory.of(call["id"])) for call in calls]
    if attached is not None and attached.details:
        message["reasoning_details"] = attached.details
        message.pop("reasoning", None)
    if profile.thoughts_back and not message.get("reasoning_content"):
        # An empty text counts as missing.
        message["reasoning_content"] = (attached.thoughts if attached else "") or " "


def _content(parts: list[Any], profile: Profile) -> Any:
    """Return the parts that the provider takes, with notes for the others."""
    kept = [
        part if _takes(profile, part["type"]) else {"type": "text", "text": _LEFT_OUT[part["type"]]}
        for part in parts
    ]
    # Plain text is what every server takes.
    if kept != parts and all(part["type"] == "text" for part in kept):
        return "\n\n".join(part["text"] for part in kept)
    return kept


def _takes(profile: Profile, kind: str) -> bool:
    if kind == "image_url":
        return profile.images
    return kind not in _LEFT_OUT or profile.files


def _call(call: Mapping[str, Any], profile: Profile, attached: Attached | None) -> Fields:
    """Return a call of an earlier answer: bad arguments would spoil every request to come."""
    function = dict(call["function"])
    if not (function["arguments"].lstrip().startswith("{") and is_whole(function["arguments"])):
        function["arguments"] = json.dumps({"invalid": function["arguments"][:_MAX_BAD_ARGUMENTS]})
    changed = {**call, "id": _call_id(call["id"], profile.call_ids), "function": function}
    if attached is not None and attached.extra:
        changed["extra_content"] = attached.extra
    return changed


@lru_cache(maxsize=1_024)
def _call_id(call_id: str, pattern: str) -> str:
    """Return the id, or one made of it that the provider takes: the same one every time."""
    return call_id if re.fullmatch(pattern, call_id) else call_id_of(call_id)
