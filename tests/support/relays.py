"""A relay that notices soon what is lost."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chatkeep.relay import linked

LONGEST_PAUSE = 0.5
"""Seconds."""


@contextmanager
def impatient() -> Iterator[None]:
    """A relay notices a silence soon. When the machine is slow it may notice one that is none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linked, "_BEAT", 0.2)
        patch.setattr(linked, "_ANSWER", 1.0)
        patch.setattr(linked, "_LONGEST_PAUSE", LONGEST_PAUSE)
        yield
