"""Types of files: declared, found, and whether the two agree."""

import pytest

from chatkeep.files.keys import Place, new_key, owner_prefix, read_key
from chatkeep.files.sniffing import matches
from chatkeep.ids import new_id
from chatkeep.mime import declared_type, is_among

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
ZIP = b"PK\x03\x04\x14\0"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("declared", "head"),
    [
        ("image/png", PNG),
        ("image/jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF"),
        ("image/gif", b"GIF89a\x01\0"),
        ("image/webp", b"RIFF\x10\0\0\0WEBPVP8 "),
        ("application/pdf", b"%PDF-1.7\n"),
        ("application/zip", ZIP),
        (DOCX, ZIP),
        ("text/plain", b"plain"),
        ("text/plain", "größer 漢字".encode()),
        ("text/csv", "größer;1".encode("cp1252")),
        ("text/plain", "größer".encode("utf-16")),
        ("text/plain", b"BMW and MZ are letters"),
        ("text/plain", b"MZ"),
        ("text/x-ansi", b"\x1b[31mred"),
        ("application/json", b'{"a": 1}'),
        ("image/svg+xml", b"<svg/>"),
        ("application/octet-stream", b"\0\1\2"),
    ],
)
def test_what_it_says_it_is(declared: str, head: bytes) -> None:
    """Content that fits its declaration is taken."""
    assert matches(declared, head)


@pytest.mark.parametrize(
    ("declared", "head"),
    [
        ("image/png", b"\xff\xd8\xff\xe0"),
        ("image/png", b"<script>alert(1)</script>"),
        ("image/png", b"\x89PNG"),
        ("image/webp", b"RIFF\x10\0\0\0WAVEfmt "),
        ("image/jpeg", b""),
        ("application/pdf", b"not a pdf"),
        ("application/pdf", ZIP),
        (DOCX, b"plain"),
        ("text/plain", PNG),
        ("text/plain", b"a\0b"),
        ("text/plain", b"MZ\x90\0\x03"),
        ("text/html", b"%PDF-1.4"),
        ("application/json", b"\x7fELF\x02"),
        ("application/octet-stream", b"\x7fELF\x02"),
    ],
)
def test_what_it_only_pretends_to_be(declared: str, head: bytes) -> None:
    """Content of another type, or of none that it could be, is not."""
    assert not matches(declared, head)


@pytest.mark.parametrize(
    ("sent", "name", "meant"),
    [
        ("Image/PNG", "a", "image/png"),
        ("text/plain; charset=utf-8", "a.md", "text/plain"),
        ("", "notes.md", "text/markdown"),
        ("application/octet-stream", "main.rs", "text/plain"),
        ("video/mp2t", "index.ts", "text/plain"),
        ("", "what", "application/octet-stream"),
        ("text", "a.txt", ""),
        ("text/pl\r\nain", "a.txt", ""),
        ("text/plain\0", "a.txt", ""),
    ],
)
def test_what_a_browser_means(sent: str, name: str, meant: str) -> None:
    """Parameters go, what browsers do not know is told by the name, nonsense is nothing."""
    assert declared_type(sent, name) == meant


def test_patterns_of_types() -> None:
    """A star stands for all types of a kind, and only of that."""
    assert is_among("text/css", ("image/png", "text/*"))
    assert not is_among("texture/css", ("text/*",))
    assert not is_among("", ("text/*", "image/png"))
    assert is_among("a/b", ("*/*",))


NAMES = ["local", "", "../..", "/etc", "Ann", "ann", "a" * 300, "a" * 124, "漢字\0", "x/y-", "a-"]


@pytest.mark.parametrize("tenant", NAMES)
@pytest.mark.parametrize("user", NAMES)
def test_keys_say_whose_they_are(tenant: str, user: str) -> None:
    """Any name makes a key of short, harmless segments, from which it is read again."""
    place = Place(tenant, user, new_id("atc"))
    key = new_key(place)

    assert read_key(key) == place
    assert all(0 < len(segment) <= 200 for segment in key.split("/"))
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-/")


def test_no_owner_is_inside_another() -> None:
    """No owner's prefix is the beginning of another's, at a boundary of segments."""
    prefixes = {owner_prefix(tenant, user) + "/" for tenant in NAMES for user in NAMES}
    assert len(prefixes) == len(NAMES) ** 2
    assert not any(a != b and a.startswith(b) for a in prefixes for b in prefixes)


@pytest.mark.parametrize("key", ["", "a/b", "mfrgg-/mfrgg-/atc_1/0", "../x-/atc/1"])
def test_other_keys_are_nobodys(key: str) -> None:
    """What is not one of our keys is left alone."""
    assert read_key(key) is None
