"""What an error of PostgreSQL, or of its driver, means to a caller."""

import asyncpg
from sqlalchemy.exc import DBAPIError

from chatkeep.stores.failure import Fault

_BUSY = {"40001", "40P01"}  # serialisation failure, deadlock
_LOST = {
    "25006",  # read-only: a failover made it a standby
    "25P03",  # our transaction was idle for too long
    "53300",  # too many connections
    "57P01",  # shut down by the administrator
    "57P02",  # another process of the server crashed
    "57P03",  # starting up, or shutting down
    "57P05",  # idle for too long
}
_BUG_CLASSES = {"22", "23", "42", "54"}
"""Data, constraint, statement, limit of the program: mistakes of ours."""
_NOT_OURS = {
    "42501",  # the rights were taken away
    "42P01",  # the table is gone
    "42703",  # the column is gone
}


def fault(error: Exception) -> Fault:
    """Say what an error means."""
    cause = driver_error(error)
    if isinstance(cause, OSError):
        return Fault.LOST
    state = getattr(cause, "sqlstate", None)
    if state in _BUSY or isinstance(cause, asyncpg.InvalidCachedStatementError):
        return Fault.BUSY
    if state is None:
        return _client_fault(cause)
    if is_lost(state):
        return Fault.LOST
    ours = state[:2] in _BUG_CLASSES and state not in _NOT_OURS
    return Fault.BUG if ours else Fault.GONE


def driver_error(error: BaseException | None) -> BaseException | None:
    """Return the driver's own error, which SQLAlchemy wraps twice."""
    if not isinstance(error, DBAPIError):
        return error
    return error.orig.__cause__ if error.orig is not None else None


def is_lost(state: str) -> bool:
    """Say whether a state of the server's means that the connection is of no use any more."""
    return state in _LOST or state.startswith("08")  # 08: the connection itself


def _client_fault(error: BaseException | None) -> Fault:
    """Say what an error means that did not come from the server."""
    if isinstance(error, asyncpg.ClientConfigurationError):
        return Fault.GONE
    if isinstance(error, asyncpg.DataError):
        return Fault.BUG
    lost = isinstance(error, asyncpg.TargetServerAttributeNotMatched) or "clos" in str(error)
    return Fault.LOST if lost else Fault.BUG
