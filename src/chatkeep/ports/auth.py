"""Who is asking."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from chatkeep.context import Principal


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client presented: header names in lower case, and cookies."""

    headers: Mapping[str, str]
    cookies: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified principal, and the `Set-Cookie` value that keeps it, when there is a new one."""

    principal: Principal
    set_cookie: str | None = None


class Authenticator(Protocol):
    """Turns credentials into an identity.

    Contract: pure and quick; never trusts a value that is not signed. Returns None when the
    credentials are not of its kind, so that the next authenticator is asked; raises
    `UnauthenticatedError` when they are of its kind but not valid.
    """

    async def authenticate(self, credentials: Credentials) -> Identity | None:
        """Return who is asking."""
        ...
