"""What the chat page is told of the server."""

from typing import Any

import pytest

from chatkeep.files.attachments import FileLimits
from chatkeep.page import page_config


def told(files: FileLimits | None, *, transcribes: bool = False) -> dict[str, Any]:
    """Return the page's configuration on a server that brings its own models."""
    return page_config(
        None, None, has_agent=False, files=files, transcribes=transcribes, version="1"
    )


def limits(*allowed: str) -> FileLimits:
    """Return limits with these types."""
    return FileLimits(
        max_bytes=2000,
        allowed_types=allowed,
        quota_bytes=9000,
        upload_seconds=1,
        download_seconds=1,
    )


def test_attachments_are_offered_as_the_settings_allow_them() -> None:
    """The option has the size, the number and the types that the server takes."""
    assert told(limits("text/*", "image/png"))["attachments"] == {
        "enabled": True,
        "maxSize": 2000,
        "maxCount": 10,
        "accept": {"text/*": [], "image/png": []},
    }


def test_no_attachments_are_offered_where_none_are_taken() -> None:
    """Neither without a type, nor where what answers sees to files by itself."""
    assert told(limits())["attachments"] is None
    assert told(None)["attachments"] is None


@pytest.mark.parametrize("transcribes", [True, False])
def test_dictation_is_offered_where_speech_is_written_down(transcribes: bool) -> None:
    """The page has a microphone only if the server can do something with it."""
    assert told(None, transcribes=transcribes)["dictation"] is transcribes
