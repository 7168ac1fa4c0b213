"""Anonymous users: a signed cookie for each browser, for a server that only this machine reaches.

The cookie holds a random user id and a signature; nothing can be learned from it and it cannot be
made without the server's key. Losing it (another browser, cleared cookies) means another user.
"""

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

from itsdangerous import BadSignature, Signer

from chatkeep.context import Principal
from chatkeep.errors import SettingsError
from chatkeep.ids import new_id
from chatkeep.ports import Credentials, Identity

TENANT = "local"
_KEY_FILE = "session.key"
_KEY_BYTES = 32
_MAX_AGE = 400 * 24 * 3600  # seconds; browsers keep no cookie for longer


class AnonymousAuthenticator:
    """Knows a browser by its cookie, and gives a new one to a browser that has none."""

    def __init__(self, key: bytes) -> None:
        self._signer = Signer(key, salt="chatkeep.anonymous", digest_method=hashlib.sha256)
        # Cookies ignore ports: two servers on one machine must not overwrite each other's.
        self._cookie = f"chatkeep_{hashlib.sha256(key).hexdigest()[:8]}"

    async def authenticate(self, credentials: Credentials) -> Identity:
        """Return the browser's user, a new one if need be."""
        if user := self._user_of(credentials.cookies.get(self._cookie)):
            return Identity(Principal(TENANT, user, "anonymous"))
        user = new_id("usr")
        value = self._signer.sign(user).decode()
        # Lax, not Strict: a link from another site would else arrive without the cookie and be
        # given a new one, which replaces the user.
        attributes = f"Path=/; Max-Age={_MAX_AGE}; HttpOnly; SameSite=Lax"
        cookie = f"{self._cookie}={value}; {attributes}"
        return Identity(Principal(TENANT, user, "anonymous"), set_cookie=cookie)

    def _user_of(self, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            return self._signer.unsign(value).decode()
        except (BadSignature, UnicodeDecodeError):
            return None


def load_key(data_dir: Path) -> bytes:
    """Return the signing key of this data directory, made at the first start.

    Raises:
        SettingsError: The directory cannot be written, or the key is damaged.
    """
    path = data_dir / _KEY_FILE
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Two servers that start at once must end up with one key: the first link wins.
        fresh = data_dir / f".{_KEY_FILE}.{secrets.token_hex(8)}"
        if not path.exists():
            fresh.touch(mode=0o600)
            fresh.write_bytes(secrets.token_bytes(_KEY_BYTES))
            with suppress(FileExistsError):
                os.link(fresh, path)
            fresh.unlink()
        key = path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"data_dir: {data_dir} cannot be written ({error.strerror}); "
            "set CHATKEEP_DATA_DIR to a directory of yours"
        ) from error
    if len(key) < _KEY_BYTES:
        # With an empty key anybody could sign.
        raise SettingsError(
            f"data_dir: {path} is damaged; restore it, or delete it and lose anonymous users"
        )
    return key
