"""Words: what a text can be found by, the same on every backend.

A text is taken apart here and not by the database, whose idea of a word would depend on which it
is, on its version and on the language it was set up for. The indexes of the databases then only
know exact words and beginnings of words.

* Letters are compared without case (Unicode's case folding), compatibility forms (full width,
  ligatures) and the accents of Latin, Greek and Cyrillic.
* A word is a run of letters, marks and digits. Scripts that are written without spaces (Chinese,
  Japanese, Thai and their neighbours) are cut into overlapping pairs of characters, which is what
  search engines do without a dictionary.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

MAX_WORDS = 4_000
"""Different words of one text that are kept."""
MAX_TEXT = 200_000
"""Characters of one text that are looked at."""
MAX_QUERY_WORDS = 16
SNIPPET = 240
"""Characters."""

_MAX_WORD = 40
_PLAIN = re.compile(r"[A-Za-z0-9]+")
# Han, kana, bopomofo, Thai, Lao, Myanmar, Khmer.
_UNSPACED = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+"
)
_ACCENTS = re.compile("[\u0300-\u036f]+")
_BLANKS = re.compile(r"\s")


class Found(NamedTuple):
    """A part of a text around words that were looked for."""

    snippet: str
    marks: list[tuple[int, int]]


def index_words(text: str) -> str:
    """Return the different words of a text, separated by spaces."""
    return " ".join(islice(dict.fromkeys(_words(text[:MAX_TEXT], closing=True)), MAX_WORDS))


def owner_word(tenant: str, user: str) -> str:
    """Return the word that leads all texts of a user.

    Looking for it first keeps a search among the user's own texts, however many there are. It is
    a word like others, which anybody can write: whose a text is, is for its keys to say.
    """
    return "o" + blake2b(repr((tenant, user)).encode(), digest_size=12).hexdigest()


def entry_words(tenant: str, user: str, text: str) -> str:
    """Return what to index for a text of a user."""
    return f"{owner_word(tenant, user)} {index_words(text)}".rstrip()


def query_words(text: str) -> list[str]:
    """Return the words to look for; a text matches that has, for each, one that begins so."""
    return list(islice(dict.fromkeys(_words(text[:1_000], closing=False)), MAX_QUERY_WORDS))


def excerpt(text: str, query: Sequence[str]) -> Found:
    """Return the part of a text where the first of the words is, and where they are in it."""
    text = _BLANKS.sub(" ", text[:MAX_TEXT])
    found = list(islice(_places(text, query), 32))
    start = max(0, found[0][0] - SNIPPET // 3) if found else 0
    end = min(len(text), start + SNIPPET)
    if start and (space := text.find(" ", start, start + 24)) >= 0:
        start = space + 1
    if end < len(text) and (space := text.rfind(" ", end - 24, end)) >= 0:
        end = space
    marks = [(a - start, min(b, end) - start) for a, b in found if start <= a < end]
    return Found(text[start:end], marks)


def fold(text: str) -> str:
    """Return a text as it is compared: without case, compatibility forms and accents."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", _ACCENTS.sub("", apart)).casefold()


def _words(text: str, *, closing: bool) -> Iterator[str]:
    if text.isascii():
        for run in _PLAIN.findall(text.lower()):
            yield run[:_MAX_WORD]
        return
    for start, end in _runs(text):
        for part, unspaced in _parts(fold(text[start:end])):
            yield from _pairs(part, closing=closing) if unspaced else [part[:_MAX_WORD]]


def _runs(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the runs of letters, marks and digits are."""
    if text.isascii():
        for match in _PLAIN.finditer(text):
            yield match.span()
        return
    start = None
    for at, character in enumerate(text):
        kind = unicodedata.category(character)
        # Joiners (Cf) are written inside words of Persian and of Indian languages.
        inside = kind[0] in "LNM" or (kind == "Cf" and start is not None)
        if inside and start is None:
            start = at
        elif not inside and start is not None:
            yield start, at
            start = None
    if start is not None:
        yield start, len(text)


def _parts(run: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a folded run, and whether each is of a script without spaces."""
    run = "".join(each for each in run if each.isalnum() or unicodedata.category(each)[0] == "M")
    at = 0
    for match in _UNSPACED.finditer(run):
        if match.start() > at:
            yield run[at : match.start()], False
        yield match[0], True
        at = match.end()
    if at < len(run):
        yield run[at:], False


def _pairs(part: str, *, closing: bool) -> Iterator[str]:
    """Yield the pairs of neighbours; `closing` adds the last character, to be found alone."""
    for at in range(len(part) - 1):
        yield part[at : at + 2]
    if closing or len(part) == 1:
        yield part[-1]


def _places(text: str, query: Sequence[str]) -> Iterator[tuple[int, int]]:
    for start, end in _runs(text):
        parts = list(_parts(fold(text[start:end])))
        # Folding may change the length (ß); the whole run is marked then.
        if sum(len(part) for part, _ in parts) == end - start:
            yield from _places_in_parts(start, parts, query)
        elif any(
            part.startswith(word) or (unspaced and word in part)
            for part, unspaced in parts
            for word in query
        ):
            yield start, end


def _places_in_parts(
    offset: int, parts: Sequence[tuple[str, bool]], query: Sequence[str]
) -> Iterator[tuple[int, int]]:
    for part, unspaced in parts:
        if unspaced:
            yield from _joined(offset, part, query)
        elif any(part.startswith(word) for word in query):
            yield offset, offset + len(part)
        offset += len(part)


def _joined(offset: int, part: str, query: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the places of pairs, those that touch as one."""
    hits = sorted(
        (at, at + len(word))
        for word in query
        for at in range(len(part))
        if part.startswith(word, at)
    )
    merged: list[tuple[int, int]] = []
    for start, end in hits:
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    for start, end in merged:
        yield offset + start, offset + end
