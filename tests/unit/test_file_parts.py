"""Attachments → parts of a message."""

from typing import Any

import pytest
from chatkit.types import Attachment, FileAttachment, ImageAttachment
from pydantic import AnyUrl

from chatkeep.agent.files import FileParts
from chatkeep.agent.history import estimate_tokens, has_images, without_images
from chatkeep.context import Principal, RequestContext
from chatkeep.errors import StorageUnavailableError

ANN = RequestContext(Principal("t", "ann", "test"), "req")


def image() -> Attachment:
    """Return an image."""
    url = AnyUrl("chatkeep:atc_1")
    return ImageAttachment(id="atc_1", name="a.png", mime_type="image/png", preview_url=url)


def file(mime_type: str = "text/plain") -> Attachment:
    """Return a file."""
    return FileAttachment(id="atc_2", name="a.txt", mime_type=mime_type)


async def parts(content: bytes, attachment: Attachment, **options: Any) -> Any:
    """Return the part for an attachment with some content."""

    async def read(_: Attachment, __: RequestContext, at_most: int) -> bytes:
        return content[:at_most]

    files = FileParts(read, image_bytes=100, text_tokens=10)
    (part,) = await files.parts([attachment], ANN, **({"images": True} | options))
    return part


async def test_images_have_a_limit() -> None:
    """One of the largest size goes along, a larger one, or an old one, becomes a note."""
    assert (await parts(bytes(100), image()))["type"] == "input_image"
    assert "too large" in (await parts(bytes(101), image()))["text"]
    assert "not shown again" in (await parts(bytes(9), image(), images=False))["text"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfa", "\na\n"),
        ("größe".encode("utf-16"), "\ngröße\n"),
        ("größe".encode("cp1252"), "\ngröße\n"),
        (b"a" * 30, f"\n{'a' * 30}\n</File>"),
        (b"a" * 31, f"\n{'a' * 30}\n[… the rest of the file is left out]"),
        (("a" * 29 + "é").encode(), f"\n{'a' * 29}\n[… the rest"),
    ],
)
async def test_text_is_decoded_and_cut(content: bytes, text: str) -> None:
    """Every usual encoding is read; a cut never leaves half a character."""
    assert text in (await parts(content, file()))["text"]


async def test_small_models_get_less() -> None:
    """A budget of the turn's own makes the room smaller."""
    assert "\naaa\n" in (await parts(b"a" * 30, file(), text_tokens=1))["text"]


async def test_other_files_are_named() -> None:
    """Of a file that is no text its name is told, and not its content."""
    part = await parts(b"secret", file("application/pdf"))
    assert "a.txt (application/pdf)" in part["text"]
    assert "secret" not in part["text"]


async def test_what_cannot_be_read_is_a_note() -> None:
    """A storage that is gone costs the file, not the turn."""

    async def read(_: Attachment, __: RequestContext, at_most: int) -> bytes:
        del at_most
        raise StorageUnavailableError

    files = FileParts(read, image_bytes=100, text_tokens=10)
    notes: Any = await files.parts([image(), file()], ANN, images=True)
    assert ["cannot be read" in note["text"] for note in notes] == [True, True]


def test_an_image_counts_as_one_whatever_its_bytes() -> None:
    """The size of an image's data says nothing of its tokens; without images there are none."""
    part = {"type": "input_image", "detail": "auto", "image_url": "data:" + "x" * 1_000_000}
    text = {"type": "input_text", "text": "look"}
    items: Any = [{"type": "message", "role": "user", "content": [text, part]}]

    assert estimate_tokens(items) < 2_000
    assert has_images(items)
    plain: Any = without_images(items)
    assert not has_images(plain)
    assert plain[0]["content"].startswith("look\n\n[An image was here")
    assert items[0]["content"][1] is part
