"""Anonymous users: a signed cookie for each browser."""

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from chatkeep.auth.anonymous import TENANT, AnonymousAuthenticator, load_key
from chatkeep.errors import SettingsError
from chatkeep.ports import Credentials, Identity
from support.forks import fork_context

KEY = bytes(range(32))


@pytest.fixture
def anonymous() -> AnonymousAuthenticator:
    """An authenticator with a fixed key."""
    return AnonymousAuthenticator(KEY)


async def come(
    anonymous: AnonymousAuthenticator, cookies: dict[str, str] | None = None
) -> Identity:
    """A browser comes with these cookies."""
    return await anonymous.authenticate(Credentials(headers={}, cookies=cookies or {}))


def cookie_of(identity: Identity) -> tuple[str, str]:
    """The name and value of the cookie that a browser was given."""
    ((name, morsel),) = SimpleCookie(identity.set_cookie).items()
    return name, morsel.value


async def test_a_new_browser_is_a_new_user(anonymous: AnonymousAuthenticator) -> None:
    """Without a cookie: a user of its own in the local tenant, and a cookie to come back with."""
    first, second = await come(anonymous), await come(anonymous)
    assert first.principal.user != second.principal.user
    assert (first.principal.tenant, first.principal.scheme) == (TENANT, "anonymous")
    assert cookie_of(first) != cookie_of(second)


async def test_a_browser_is_known_by_its_cookie(anonymous: AnonymousAuthenticator) -> None:
    """The same user as before, also after a restart, and no new cookie."""
    first = await come(anonymous)
    for authenticator in (anonymous, AnonymousAuthenticator(KEY)):
        again = await come(authenticator, dict([cookie_of(first)]))
        assert again.principal == first.principal
        assert again.set_cookie is None


async def test_the_attributes_of_the_cookie(anonymous: AnonymousAuthenticator) -> None:
    """Not for scripts, not sent along by other sites' posts, for the whole site and for a year."""
    set_cookie = (await come(anonymous)).set_cookie or ""
    pair, *attributes = set_cookie.split("; ")
    assert set(attributes) == {"Path=/", "Max-Age=34560000", "HttpOnly", "SameSite=Lax"}
    assert all(32 < ord(character) < 127 and character not in '",;\\' for character in pair)


async def test_every_changed_character_is_noticed(anonymous: AnonymousAuthenticator) -> None:
    """A cookie with any one character changed belongs to nobody."""
    identity = await come(anonymous)
    name, value = cookie_of(identity)
    # The last character of base 64 carries bits that are not used.
    for index in range(len(value) - 1):
        other = "A" if value[index] != "A" else "B"
        changed = await come(anonymous, {name: value[:index] + other + value[index + 1 :]})
        assert changed.principal.user != identity.principal.user
        assert changed.set_cookie is not None


async def test_a_shortened_or_made_up_cookie_is_a_new_user(
    anonymous: AnonymousAuthenticator,
) -> None:
    """Whatever is sent, nobody becomes somebody, and nothing fails."""
    name, value = cookie_of(await come(anonymous))
    user, _, signature = value.rpartition(".")
    empty = base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    made_up = [value[:n] for n in range(0, len(value), 7)]
    made_up += [user, f".{signature}", f"{user}.", f"{user}.{empty}", f"usr_0.{signature}"]
    made_up += ["", ".", "..", "é.é", "\x00", "a" * 10_000, f" {value}", f"{value}\n", value * 2]
    for odd in made_up:
        identity = await come(anonymous, {name: odd})
        assert identity.principal.user != user
        assert identity.principal.user.startswith("usr_")
        assert identity.set_cookie is not None


async def test_a_cookie_of_another_server_is_not_known(anonymous: AnonymousAuthenticator) -> None:
    """Signed with another key, under its name or ours; servers on one host use different names."""
    other = AnonymousAuthenticator(bytes(32))
    foreign = await come(other)
    (name, value), (ours, _) = cookie_of(foreign), cookie_of(await come(anonymous))
    assert name != ours
    for sent in ({name: value}, {ours: value}):
        assert (await come(anonymous, sent)).principal.user != foreign.principal.user


def test_the_key_is_made_once(tmp_path: Path) -> None:
    """At the first start; later starts read it."""
    key = load_key(tmp_path / "a" / "data")
    assert len(key) == 32
    assert load_key(tmp_path / "a" / "data") == key
    assert load_key(tmp_path / "b") != key


def test_the_key_is_for_its_owner_only(tmp_path: Path) -> None:
    """Neither file nor directory can be read by others, whatever the umask."""
    before = os.umask(0)
    try:
        load_key(tmp_path / "data")
    finally:
        os.umask(before)
    (path,) = (tmp_path / "data").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_threads_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    """Eight at a time, many times: one key, and nothing is left lying around."""
    with ThreadPoolExecutor(8) as pool:
        for number in range(50):
            data_dir = tmp_path / str(number)
            keys = list(pool.map(load_key, [data_dir] * 8))
            assert len(set(keys)) == 1
            assert [path.name for path in data_dir.iterdir()] == ["session.key"]


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    """Two servers on one data directory know each other's users."""
    with fork_context().Pool(8) as pool:
        assert len(set(pool.map(load_key, [tmp_path / "data"] * 8, chunksize=1))) == 1
        pool.close()
        pool.join()


@pytest.mark.parametrize("below", ["", "data"])
def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path, below: str) -> None:
    """A file in the way of the directory, or above it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"^data_dir: .*; set CHATKEEP_DATA_DIR") as caught:
        load_key(tmp_path / "file" / below)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damaged", [b"", b"short", KEY[:31]])
def test_a_damaged_key_stops_the_start(tmp_path: Path, damaged: bytes) -> None:
    """With an empty key file anybody could sign; it is neither used nor replaced silently."""
    path = tmp_path / "session.key"
    path.write_bytes(damaged)
    with pytest.raises(SettingsError, match=r"^data_dir: .*session\.key is damaged"):
        load_key(tmp_path)
    assert path.read_bytes() == damaged
