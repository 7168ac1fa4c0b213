"""What a text can be found by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkeep.stores.words import (
    MAX_QUERY_WORDS,
    MAX_WORDS,
    SNIPPET,
    entry_words,
    excerpt,
    fold,
    index_words,
    owner_word,
    query_words,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        (" \n\t\0 ", ""),
        ("Hello, hello WORLD!", "hello world"),
        ("snake_case v2.10 a-b", "snake case v2 10 a b"),
        ("Straße STRASSE", "strasse"),
        ("Café cafe\u0301 CAFÉ", "cafe"),
        ("Ёлка Йод", "елка иод"),
        ("Ελλάδα ΟΔΟΣ οδός", "ελλαδα οδοσ"),
        ("\uff26\uff35\uff2c\uff2c \ufb01ne", "full fine"),
        ("東京都", "東京 京都 都"),
        ("東", "東"),
        ("ABC東京", "abc 東京 京"),
        ("한국어 말", "한국어 말"),
        ("हिन्दी", "हिन्दी"),
        ("👩‍👩‍👧 🐈", ""),
        ("it's", "it s"),
        ("x" * 50, "x" * 40),
        ("\ud83d half", "half"),
    ],
)
def test_a_text_becomes_words(text: str, words: str) -> None:
    """Folded, each once, in the order in which they come; scripts without spaces in pairs."""
    assert index_words(text) == words


def test_there_is_an_end_to_words() -> None:
    """A text gives no more than its share of words, and a question asks for fewer."""
    text = " ".join(f"w{n}" for n in range(3 * MAX_WORDS))
    assert len(index_words(text).split()) == MAX_WORDS
    assert query_words(text) == [f"w{n}" for n in range(MAX_QUERY_WORDS)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  ,*:\"'&|!()", []),
        ("Köln AND köln", ["koln", "and"]),
        ("東京都", ["東京", "京都"]),
        ("都", ["都"]),
        ("NEAR(a b)", ["near", "a", "b"]),
    ],
)
def test_a_question_becomes_words(text: str, words: list[str]) -> None:
    """As a text does, but the last character of a pair is not asked for by itself."""
    assert query_words(text) == words


@given(st.text(max_size=60))
def test_a_text_is_found_by_itself(text: str) -> None:
    """Each word of a question is the beginning of a word of the same text."""
    words = index_words(text).split()
    for asked in query_words(text):
        assert any(word.startswith(asked) for word in words)


@given(st.text(max_size=60))
def test_words_are_only_letters_marks_and_digits(text: str) -> None:
    """Nothing in them that a database could take for more than a part of a word."""
    for word in [*index_words(text).split(" "), *query_words(text)]:
        assert not set(word) & set("\0 \t\n'\"*:&|!()<>\\-_\ud800")
        assert word == word.strip()


@given(st.text(max_size=40))
def test_folding_twice_is_folding_once(text: str) -> None:
    """So that it does not matter which of two texts was folded already."""
    assert fold(fold(text)) == fold(text)


def test_every_user_has_a_word() -> None:
    """No two users have the same, however their names are cut, and it is one word."""
    names = [("a", "b"), ("b", "a"), ("ab", ""), ("", "ab"), ("a', 'b", ""), ("a\0", "b")]
    words = {owner_word(tenant, user) for tenant, user in names}
    assert len(words) == len(names)
    for word in words:
        assert index_words(word) == word
    assert entry_words("a", "b", "One, two") == f"{owner_word('a', 'b')} one two"
    assert entry_words("a", "b", "") == owner_word("a", "b")


@pytest.mark.parametrize(
    ("text", "question", "marked"),
    [
        ("The quick fox", "quick", ["quick"]),
        ("The quick quicker fox", "qui", ["quick", "quicker"]),
        ("Die Straße", "strasse", ["Straße"]),
        ("東京都に住む", "京都", ["京都"]),
        ("東京都に住む", "東京都", ["東京都"]),
        ("京a京b", "京 a", ["京", "a", "京"]),
        ("one two", "three", []),
        ("", "one", []),
        ("line one\nline two", "two", ["two"]),
    ],
)
def test_an_excerpt_marks_the_words(text: str, question: str, marked: list[str]) -> None:
    """The marks are where the words are, in the text as it was written."""
    found = excerpt(text, query_words(question))
    assert [found.snippet[start:end] for start, end in found.marks] == marked
    assert found.snippet == text.replace("\n", " ")


def test_an_excerpt_is_around_the_first_word() -> None:
    """It is cut between words where that is possible, and is short."""
    text = "before " * 100 + "needle " + "after " * 100
    snippet, marks = excerpt(text, ["needle"])
    assert len(snippet) <= SNIPPET
    assert [snippet[start:end] for start, end in marks] == ["needle"]
    assert snippet.startswith("before ")
    assert snippet.endswith(" after")


@given(
    st.text(alphabet="aäß東京 .\u0301\ufb01", max_size=600), st.text(alphabet="aäß東京", max_size=3)
)
def test_marks_are_inside_and_in_order(text: str, question: str) -> None:
    """Whatever the text, no mark is outside of its snippet, and none overlaps another."""
    snippet, marks = excerpt(text, query_words(question))
    assert len(snippet) <= SNIPPET
    places = [place for mark in marks for place in mark]
    assert places == sorted(places)
    assert all(0 <= start < end <= len(snippet) for start, end in marks)
