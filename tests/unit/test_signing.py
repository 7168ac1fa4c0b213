"""Links: what was signed, for that and nothing else, until its end."""

import base64
import hashlib
import hmac
import json

import pytest

from chatkeep.errors import LinkError
from chatkeep.files.signing import Grant, LinkSigner

KEY = b"k" * 32
GRANT = Grant("upload", "ten", "usr/é", "atc_1", 10)


def encode(data: bytes) -> str:
    """Return what a token has of some bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_token_says_what_was_signed() -> None:
    """The grant comes back as it was."""
    signer = LinkSigner(KEY)
    assert signer.read(signer.sign(GRANT, 60), "upload", "atc_1") == GRANT


def test_a_token_ends() -> None:
    """It is good until its last second, and not then."""
    now = 1_000.0
    signer = LinkSigner(KEY, now=lambda: now)
    token = signer.sign(GRANT, 60)
    now = 1_059.9
    signer.read(token, "upload", "atc_1")
    now = 1_060.0
    with pytest.raises(LinkError, match="expired"):
        signer.read(token, "upload", "atc_1")


@pytest.mark.parametrize(("operation", "attachment"), [("download", "atc_1"), ("upload", "atc_2")])
def test_a_token_is_for_one_thing(operation: str, attachment: str) -> None:
    """An upload link does not download, and none works for another attachment."""
    signer = LinkSigner(KEY)
    with pytest.raises(LinkError):
        signer.read(signer.sign(GRANT, 60), operation, attachment)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", range(6))
def test_no_claim_can_be_changed(field: int) -> None:
    """Operation, tenant, user, attachment, size and end are all signed."""
    signer = LinkSigner(KEY)
    payload, _, signature = signer.sign(GRANT, 60).partition(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims[field] = claims[field] + 1 if isinstance(claims[field], int) else "download"
    with pytest.raises(LinkError):
        signer.read(f"{encode(json.dumps(claims).encode())}.{signature}", "upload", "atc_1")


def test_every_flipped_character_is_noticed() -> None:
    """Whatever is changed in a token makes it worthless, its last bits included."""
    signer = LinkSigner(KEY)
    token = signer.sign(GRANT, 60)
    for at, old in enumerate(token):
        for new in ("A", "B", "_"):
            if new != old:
                with pytest.raises(LinkError):
                    signer.read(token[:at] + new + token[at + 1 :], "upload", "atc_1")


@pytest.mark.parametrize(
    "token", ["", ".", "a", "a.b", "é.é", "!.!", "bnVsbA." + "A" * 43, "a.b.c"]
)
def test_nonsense_is_no_token(token: str) -> None:
    """Whatever is sent is answered with the same error."""
    with pytest.raises(LinkError):
        LinkSigner(KEY).read(token, "upload", "atc_1")


def test_another_server_cannot_sign() -> None:
    """Another key, or the same one used for something else, signs nothing here."""
    token = LinkSigner(b"x" * 32).sign(GRANT, 60)
    with pytest.raises(LinkError):
        LinkSigner(KEY).read(token, "upload", "atc_1")
    payload = token.partition(".")[0]
    plain = encode(hmac.digest(KEY, payload.encode(), hashlib.sha256))
    with pytest.raises(LinkError):
        LinkSigner(KEY).read(f"{payload}.{plain}", "upload", "atc_1")
