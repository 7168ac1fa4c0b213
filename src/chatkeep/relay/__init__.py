"""How instances wake each other. The relay is chosen by a URL; its driver is imported then."""

from importlib.util import find_spec

from chatkeep.errors import SettingsError
from chatkeep.ports import Relay
from chatkeep.relay.local import LocalRelay

_POSTGRES = {"postgresql", "postgres"}
_REDIS = {"redis", "rediss", "valkey", "valkeys"}
_ONE_PROCESS = {"sqlite", "memory"}


def open_relay(url: str | None, database_url: str) -> Relay:
    """Return the relay that the settings ask for, not connected yet: `await relay.open(wake)`.

    Args:
        url: `redis://user:password@host:6379/0`, `rediss://…` for TLS, the same as `valkey://…`
            and `valkeys://…`, or `postgresql://…`, a server without a pooler in between. None:
            the database, if it is PostgreSQL without such a pooler; else nothing between
            processes.
        database_url: Where conversations are kept.

    Raises:
        SettingsError: A URL names no relay, or its driver is not installed. The message shows no
            more of it than the scheme.
    """
    if url:
        scheme = _scheme(url)
        if scheme in _REDIS:
            return _redis(url)
        if scheme in _POSTGRES:
            relay = _postgres(url)
            if relay is None:
                raise SettingsError(
                    "relay.url: behind a pooler in transaction mode nobody hears a notification; "
                    "name the server itself, without statement_cache_size=0"
                )
            return relay
        raise SettingsError(
            f"relay.url: no relay is known by the scheme {scheme[:20]!r}; "
            "use redis://host:6379/0, rediss://… or postgresql://…"
        )
    database = _scheme(database_url)
    if database in _POSTGRES:
        return _postgres(database_url) or LocalRelay(live=False)
    return LocalRelay(live=database in _ONE_PROCESS)


def _scheme(url: str) -> str:
    return url.strip().partition("://")[0].lower().partition("+")[0]


def _redis(url: str) -> Relay:
    if find_spec("redis") is None:
        raise SettingsError(
            "relay.url: Redis needs a package that is not installed: pip install 'chatkeep[redis]'"
        )
    from chatkeep.relay.linked import LinkedRelay  # noqa: PLC0415
    from chatkeep.relay.redis import connector  # noqa: PLC0415 - loads the driver
    from chatkeep.relay.redis_url import read_url  # noqa: PLC0415

    return LinkedRelay(connector(read_url(url)))


def _postgres(url: str) -> Relay | None:
    """Return the relay of a PostgreSQL server, or None if a pooler is in the way."""
    if find_spec("asyncpg") is None:
        raise SettingsError(
            "PostgreSQL needs a package that is not installed: pip install 'chatkeep[postgres]'"
        )
    from chatkeep.postgres.url import read_url  # noqa: PLC0415
    from chatkeep.relay.linked import LinkedRelay  # noqa: PLC0415
    from chatkeep.relay.postgres import listener  # noqa: PLC0415 - loads the driver

    scheme, _, rest = url.strip().partition("://")
    del scheme  # with a driver in it, perhaps
    checked = read_url(f"postgresql://{rest}")
    return None if checked.pooled else LinkedRelay(listener(checked))
