"""The normaliser: what many kinds of servers send comes out as one kind of answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkeep.errors import (
    ModelCredentialsError,
    ModelError,
    ModelInterruptedError,
    ModelRateLimitError,
    ModelRequestError,
    ModelUnavailableError,
)
from chatkeep.models.calls import Tokens
from chatkeep.models.guard import Limits
from chatkeep.models.normalising import Delta, Ending, Normaliser

STOP = {"choices": [{"finish_reason": "stop"}]}


def delta(**fields: Any) -> dict[str, Any]:
    """A chunk with these fields in its delta."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def finish(reason: Any, **fields: Any) -> dict[str, Any]:
    """A chunk with the reason why the answer ended."""
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], **fields}


class Heard:
    """An answer, whole."""

    def __init__(self, *payloads: Any, limits: Limits | None = None) -> None:
        self.normaliser = Normaliser(limits)
        said = [said for payload in payloads if (said := self.normaliser.feed(payload))]
        self.ending: Ending = self.normaliser.end()
        said.append(self.ending.rest)
        self.text = "".join(piece.text for piece in said)
        self.thought = "".join(piece.thought for piece in said)
        self.refusal = "".join(piece.refusal for piece in said)
        self.calls = [
            (call.name, json.loads(call.arguments) if call.arguments else None)
            for call in self.ending.calls
        ]


def test_text() -> None:
    """Deltas with and without a role, empty and null ones."""
    heard = Heard(
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(),
        delta(content=None),
        {"choices": [{"delta": {"content": "lo"}}]},
        {"choices": []},
        {"choices": None},
        STOP,
    )
    assert (heard.text, heard.ending.finish, heard.ending.calls) == ("Hello", "stop", [])


@pytest.mark.parametrize(
    "pieces",
    [
        [{"reasoning": "Hm."}],
        [{"reasoning_content": "Hm."}],
        [{"thinking": "Hm."}],
        [
            {"reasoning": "H", "reasoning_content": "H"},
            {"reasoning_content": "m.", "reasoning": "m."},
        ],
        [{"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}],
        [{"reasoning_details": [{"type": "reasoning.summary", "summary": "Hm."}]}],
        [{"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}],
        [{"reasoning_content": "Hm.", "content": "<think>Hm.</think>"}],
        [{"content": "<think>Hm.</think>"}],
        [
            {"content": "\n<thi"},
            {"content": "nk>H"},
            {"content": "m.</th"},
            {"content": "ink>\n\n"},
        ],
        [{"content": "<thinking>\nHm.</thinking>"}],
        [{"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}],
    ],
    ids=repr,
)
def test_thoughts_are_told_once(pieces: list[dict[str, Any]]) -> None:
    """In whichever field, or in several, or in a block before the text."""
    heard = Heard(*(delta(**piece) for piece in pieces), delta(content="Yes"), STOP)
    assert (heard.thought, heard.text) == ("Hm.", "Yes")


@pytest.mark.parametrize(
    ("text", "thought", "shown"),
    [
        ("a <think>b</think>", "", "a <think>b</think>"),
        ("<thinker>", "", "<thinker>"),
        ("<th", "", "<th"),
        ("  a", "", "  a"),
        ("<think>open", "open", ""),
        ("<think>a</thi", "a</thi", ""),
        ("<think>a</think><think>b</think>c", "ab", "c"),
        ("<think></think>\n\nc", "", "c"),
        ("<think>a < b</think>c", "a < b", "c"),
    ],
)
def test_blocks_of_thought(text: str, thought: str, shown: str) -> None:
    """Only at the beginning, and whole."""
    for pieces in ([text], list(text)):
        heard = Heard(*(delta(content=piece) for piece in pieces), STOP)
        assert (heard.thought, heard.text) == (thought, shown)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "a", " ", "\n", "thi"]), max_size=8))
def test_a_text_cut_anywhere_is_read_alike(pieces: list[str]) -> None:
    """In one delta or in one for each character."""
    text = "".join(pieces)
    whole = Heard(delta(content=text), STOP)
    cut = Heard(*(delta(content=character) for character in text), STOP)
    assert (whole.text, whole.thought) == (cut.text, cut.thought)


def call(**fields: Any) -> dict[str, Any]:
    """A fragment of a tool call."""
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return {"function": function, **fields} if function else fields


TWO = [("look", {"at": 1}), ("go", {"to": 2})]
FRAGMENTS: dict[str, list[dict[str, Any]]] = {
    "by index": [
        call(index=0, id="a", name="look", arguments=""),
        call(index=0, arguments='{"at"'),
        call(index=1, id="b", name="go"),
        call(index=1, arguments='{"to":2}'),
        call(index=0, arguments=":1}"),
    ],
    "by index, without ids": [
        call(index=0, name="look", arguments='{"at":1}'),
        call(index=1, name="go", arguments='{"to":2}'),
    ],
    "by id": [
        call(id="a", name="look", arguments='{"at"'),
        call(id="b", name="go", arguments='{"to":2}'),
        call(id="a", arguments=":1}"),
    ],
    "by neither": [
        call(name="look", arguments='{"at"'),
        call(arguments=":1}"),
        call(name="go"),
        call(arguments='{"to":2}'),
    ],
    "one index for all": [
        call(index=0, id="a", name="look", arguments='{"at":1}'),
        call(index=0, id="b", name="go", arguments='{"to":2}'),
    ],
    "one index for all, no ids": [
        call(index=0, name="look", arguments='{"at":1}'),
        call(index=0, name="go", arguments='{"to":2}'),
    ],
    "an id for every fragment": [
        call(id="a", name="look", arguments='{"at"'),
        call(id="b", arguments=":1}"),
        call(id="c", name="go", arguments='{"to":2}'),
    ],
    "the name in every fragment": [
        call(index=0, id="a", name="look", arguments='{"at"'),
        call(index=0, id="a", name="look", arguments=":1}"),
        call(index=1, id="b", name="go", arguments='{"to":2}'),
    ],
    "repeated whole": [
        call(index=0, id="a", name="look", arguments='{"at":1}'),
        call(index=1, id="b", name="go", arguments='{"to":2}'),
        call(index=0, id="a", name="look", arguments='{"at":1}'),
    ],
    "objects": [
        call(index=0, name="look", arguments={"at": 1}),
        call(index=1, name="go", arguments={"to": 2}),
    ],
    "unwrapped": [
        {"name": "look", "arguments": '{"at":1}'},
        {"name": "go", "arguments": '{"to":2}'},
    ],
    "odd ones between": [
        call(index=0, id="a", name="look", arguments='{"at":1}'),
        {"index": 7, "type": "custom", "custom": {"name": "x"}},
        call(index=1, id="b", name="go", arguments='{"to":2}'),
        call(index=2, arguments=""),
    ],
}


@pytest.mark.parametrize("name", FRAGMENTS)
def test_tool_calls(name: str) -> None:
    """Fragments find their call by index, by id, or by neither; in one delta or in many."""
    fragments = FRAGMENTS[name]
    for payloads in (
        [delta(tool_calls=[fragment]) for fragment in fragments],
        [delta(tool_calls=[*fragments, 5])],
    ):
        heard = Heard(*payloads, finish("tool_calls"))
        assert heard.calls == TWO
        ids = {made.id for made in heard.ending.calls}
        assert len(ids) == 2
        assert all(len(made) <= 40 for made in ids)


def test_the_same_call_twice_is_two_calls() -> None:
    """Without index and id, a name that comes again behind whole arguments begins another."""
    fragment = call(name="look", arguments='{"at":1}')
    heard = Heard(delta(tool_calls=[fragment, fragment]), STOP)
    assert heard.calls == [TWO[0], TWO[0]]


def test_ids_of_calls_are_ours_in_every_answer() -> None:
    """A server that names its calls alike each time does not get two of one name."""
    payload = delta(tool_calls=[call(index=0, id="call_0", name="look", arguments="{}")])
    ids = {Heard(payload, STOP).ending.calls[0].id for _ in range(3)}
    assert len(ids) == 3


def test_an_old_function_call() -> None:
    """The field that came before `tool_calls`."""
    heard = Heard(
        delta(function_call={"name": "look"}),
        delta(function_call={"arguments": '{"at":1}'}),
        finish("function_call"),
    )
    assert (heard.calls, heard.ending.finish) == ([TWO[0]], "tool_calls")


def test_what_goes_back_with_a_call() -> None:
    """Gemini's signature of a call, and OpenRouter's details, whose pieces are joined."""
    signed = {"google": {"thought_signature": "sig"}}
    heard = Heard(
        delta(reasoning_details=[{"type": "reasoning.text", "index": 0, "text": "H"}]),
        delta(reasoning_details=[{"type": "reasoning.text", "index": 0, "text": "m"}]),
        delta(reasoning_details=[{"type": "reasoning.encrypted", "index": 1, "data": "x"}, 3]),
        delta(tool_calls=[{**call(index=0, name="look", arguments="{}"), "extra_content": signed}]),
        STOP,
    )
    assert heard.ending.calls[0].extra == signed
    assert heard.ending.details == [
        {"type": "reasoning.text", "index": 0, "text": "Hm"},
        {"type": "reasoning.encrypted", "index": 1, "data": "x"},
    ]


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("STOP", "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("content_filter", "content_filter"),
        ("content_filter: RECITATION", "content_filter"),
        ("SAFETY", "content_filter"),
    ],
)
def test_reasons_to_end(reason: str, meaning: str) -> None:
    """Providers have their own words."""
    assert Heard(delta(content="a"), finish(reason)).ending.finish == meaning


@pytest.mark.parametrize("reason", [None, "", "null", 5, "error", "insufficient_system_resource"])
def test_an_end_without_a_reason_or_with_a_bad_one(reason: Any) -> None:
    """The answer was cut off."""
    with pytest.raises(ModelInterruptedError):
        Heard(delta(content="a"), finish(reason))


@pytest.mark.parametrize("payloads", [[], [{}], [{"detail": "Not Found"}], [{"choices": []}]])
def test_no_answer_at_all(payloads: list[Any]) -> None:
    """What answers there is no provider."""
    with pytest.raises(ModelUnavailableError):
        Heard(*payloads)


def test_calls_that_were_announced_and_did_not_come() -> None:
    """An answer that ends for its calls has some."""
    with pytest.raises(ModelInterruptedError):
        Heard(delta(content="a"), finish("tool_calls"))


def test_no_word_before_the_limit() -> None:
    """All tokens went into thoughts: an error that says so."""
    with pytest.raises(ModelError, match="used up its tokens"):
        Heard(delta(reasoning="Hm."), finish("length"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "secret"}, ModelRateLimitError),
        ({"code": "429"}, ModelRateLimitError),
        ({"code": "rate_limit_exceeded"}, ModelRateLimitError),
        ({"type": "rate_limit_error"}, ModelRateLimitError),
        ({"code": 401}, ModelCredentialsError),
        ({"code": 400}, ModelRequestError),
        ({"code": 502, "metadata": {"raw": "secret"}}, ModelUnavailableError),
        ({"code": 99999}, ModelUnavailableError),
        ({"type": "server_error"}, ModelUnavailableError),
        ("secret", ModelUnavailableError),
        (["secret"], ModelUnavailableError),
    ],
    ids=repr,
)
def test_error_objects(error: Any, kind: type[ModelError]) -> None:
    """Of any shape; behind text they are a cut, whatever they are; their words stay away."""
    for payload in (
        {"error": error},
        {"error": error, "choices": [{"delta": {}, "finish_reason": "error"}]},
        {"choices": [{"delta": {}, "error": error, "finish_reason": "error"}]},
    ):
        with pytest.raises(kind) as caught:
            Heard(payload)
        assert type(caught.value) is kind
        assert "secret" not in str(caught.value)
        with pytest.raises(ModelInterruptedError):
            Heard(delta(content="a"), payload)


def test_an_error_that_says_it_is_one() -> None:
    """By the type of its event, or of the object."""
    with pytest.raises(ModelRateLimitError):
        Normaliser().feed({"message": "m", "code": 429}, "error")
    with pytest.raises(ModelRequestError):
        Normaliser().feed({"object": "error", "message": "m", "code": 400})


USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
USED = Tokens(input=10, output=5)


@pytest.mark.parametrize(
    ("payloads", "tokens"),
    [
        ([finish("stop", usage=USAGE)], USED),
        ([STOP, {"choices": [], "usage": USAGE}], USED),
        ([STOP, {"choices": None, "usage": USAGE}], USED),
        ([STOP, {"usage": USAGE}], USED),
        (
            [{"usage": {"prompt_tokens": 10, "completion_tokens": 1}}, finish("stop", usage=USAGE)],
            USED,
        ),
        ([finish("stop", usage=USAGE), {"choices": [], "usage": None}], USED),
        (
            [finish("stop", usage=USAGE), {"usage": {"prompt_tokens": 0, "completion_tokens": 0}}],
            USED,
        ),
        ([finish("stop", x_groq={"usage": USAGE})], USED),
        ([{"choices": [{"finish_reason": "stop", "delta": {}, "usage": USAGE}]}], USED),
        ([finish("stop", timings={"prompt_n": 10, "predicted_n": 5})], USED),
        ([finish("stop", usage={"input_tokens": 10, "output_tokens": 5})], USED),
        (
            [
                finish(
                    "stop",
                    usage={
                        **USAGE,
                        "prompt_tokens_details": {"cached_tokens": 4},
                        "completion_tokens_details": {"reasoning_tokens": 3},
                    },
                )
            ],
            Tokens(input=10, cached=4, output=5, reasoning=3),
        ),
        (
            [finish("stop", usage={**USAGE, "prompt_cache_hit_tokens": 4})],
            Tokens(input=10, cached=4, output=5),
        ),
        # Thoughts that only the total has.
        (
            [finish("stop", usage={**USAGE, "total_tokens": 45})],
            Tokens(input=10, output=35, reasoning=30),
        ),
        ([STOP], None),
        ([finish("stop", usage={"prompt_tokens": "x", "completion_tokens": -1})], None),
        ([finish("stop", usage="x", x_groq=5, timings=[])], None),
    ],
)
def test_usage(payloads: list[Any], tokens: Tokens | None) -> None:
    """Wherever it comes, and in whichever words."""
    assert Heard(delta(content="a"), *payloads).normaliser.tokens == tokens


def test_citations() -> None:
    """Annotations, and lists of addresses, each once; what is no address is none."""
    page = {"type": "url_citation", "url_citation": {"url": "https://a", "title": "A"}}
    heard = Heard(
        delta(content="a", annotations=[page, page, {"type": "x"}, 4]),
        finish("stop", citations=["https://a", "https://b", "javascript:x", {"url": 5}]),
    )
    found = [(citation.url, citation.title) for citation in heard.ending.citations]
    assert found == [("https://a", "A"), ("https://b", "https://b")]


def test_a_whole_answer_is_read_like_a_stream() -> None:
    """A message instead of deltas; behind deltas it only repeats."""
    message = {"role": "assistant", "content": "<think>Hm.</think>Yes", "refusal": None}
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    heard = Heard(whole)
    assert (heard.text, heard.thought) == ("Yes", "Hm.")
    assert Heard(delta(content="Yes"), whole).text == "Yes"


def test_other_choices_are_left_out() -> None:
    """One answer is asked for."""
    second = {"choices": [{"index": 1, "delta": {"content": "x"}, "finish_reason": None}]}
    assert Heard(second, delta(content="a"), STOP).text == "a"


def test_refusals() -> None:
    """They have a field of their own."""
    heard = Heard(delta(refusal="I can"), delta(refusal="not."), STOP)
    assert (heard.refusal, heard.text) == ("I cannot.", "")


def test_a_half_of_an_emoji_at_the_end() -> None:
    """Nothing is held back for ever."""
    assert Heard(delta(content="a\ud83d"), STOP).text == "a\ufffd"


@pytest.mark.parametrize(
    "payload",
    [
        delta(content="x" * 20),
        delta(reasoning="x" * 20),
        delta(tool_calls=[call(index=0, name="a", arguments="x" * 20)]),
    ],
)
def test_an_answer_has_a_largest_size(payload: Any) -> None:
    """Whatever it is made of."""
    with pytest.raises(ModelInterruptedError, match="longer"):
        Heard(*[payload] * 6, STOP, limits=Limits(characters=100))


def test_tools_called_without_end() -> None:
    """Nobody calls that many."""
    with pytest.raises(ModelInterruptedError, match="more tools"):
        Heard(*(delta(tool_calls=[call(index=n, name="a")]) for n in range(200)), STOP)


NAMES = (
    "choices delta message content tool_calls function name arguments index id usage error type "
    "finish_reason reasoning reasoning_details citations annotations text refusal"
).split()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4))
def test_any_json_is_an_answer_or_a_model_error(payloads: list[Any]) -> None:
    """Nothing else comes out, whatever goes in; all of it can be encoded."""
    normaliser = Normaliser()
    try:
        said = [normaliser.feed(payload) for payload in payloads]
        said.append(normaliser.end().rest)
    except ModelError:
        return
    for piece in said:
        assert piece is None or isinstance(piece, Delta)
        if piece is not None:
            (piece.text + piece.thought + piece.refusal).encode()
