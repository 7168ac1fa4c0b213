"""Identifiers: a typed prefix, then time, then randomness.

An id is `<prefix>_` and 36 characters of lower-case Crockford base 32: 48 bits of milliseconds
since 1970 (so that ids sort by time of birth) and 128 bits from the operating system's generator
(OWASP ASVS 5.0, 11.5.1: non-guessable values carry at least 128 bits of entropy), padded to 180.
"""

import secrets
import time
from hashlib import sha256

from chatkit.store import StoreItemType

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 36
_CALL_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CALL_LENGTH = 9  # what Mistral insists on suits everybody

_PREFIXES: dict[StoreItemType, str] = {
    "thread": "thr",
    "message": "msg",
    "tool_call": "tc",
    "workflow": "wf",
    "task": "tsk",
    "attachment": "atc",
    "sdk_hidden_context": "shcx",
}


def new_id(prefix: str) -> str:
    """Return a new id `<prefix>_…` that sorts behind the ones made in earlier milliseconds."""
    number = (time.time_ns() // 1_000_000 << 128) | secrets.randbits(128)
    shifts = range(5 * (_LENGTH - 1), -1, -5)
    return f"{prefix}_" + "".join([_ALPHABET[number >> shift & 31] for shift in shifts])


def new_item_id(item_type: StoreItemType) -> str:
    """Return a new id with the prefix that ChatKit uses for this type of item."""
    return new_id(_PREFIXES[item_type])


def call_id_of(*names: str) -> str:
    """Return an id for a call of a tool, made of names: the same one every time.

    Nine letters and digits, which every provider takes.
    """
    number = int.from_bytes(sha256("\0".join(names).encode(errors="replace")).digest())
    digits = []
    for _ in range(_CALL_LENGTH):
        number, digit = divmod(number, len(_CALL_ALPHABET))
        digits.append(_CALL_ALPHABET[digit])
    return "".join(digits)
