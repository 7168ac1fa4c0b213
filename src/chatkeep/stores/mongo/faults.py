"""What the driver's errors mean, and how often and how long a call is tried."""

import asyncio
import random

from pymongo.errors import (
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
)

from chatkeep.errors import StoreUnavailableError, TooLargeError
from chatkeep.stores.failure import UNKNOWN, Fault

_COLLISION_PAUSE = 0.01
_LOSS_PAUSE = 0.1
_LONGEST_PAUSE = 1.0
"""Seconds, at most, before the first new try after a collision, after a loss, and before any."""

_BUSY = {
    24,  # LockTimeout
    112,  # WriteConflict
}
_BUGS = {
    2,  # BadValue
    9,  # FailedToParse
    14,  # TypeMismatch
    20,  # IllegalOperation
    40,  # ConflictingUpdateOperators
    72,  # InvalidOptions
}
_TOO_LARGE = {
    10334,  # BSONObjectTooLarge
    17419,  # an update makes the document too large
    17420,  # an upsert does
}


def fault_of(error: PyMongoError) -> Fault:
    """Say what an error of the driver means."""
    if isinstance(error, ServerSelectionTimeoutError | WaitQueueTimeoutError | ExecutionTimeout):
        return Fault.GONE  # it has been waited for
    if isinstance(error, ConnectionFailure | WriteConcernError):
        return Fault.LOST
    # A document that two insert at once: the second try finds it.
    if isinstance(error, DuplicateKeyError) or error.has_error_label("TransientTransactionError"):
        return Fault.BUSY
    if isinstance(error, OperationFailure):
        return _fault_of_command(error)
    return Fault.BUG


def _fault_of_command(error: OperationFailure) -> Fault:
    if error.has_error_label("RetryableWriteError"):
        return Fault.LOST
    if error.code in _BUSY:
        return Fault.BUSY
    return Fault.BUG if error.code in _BUGS else Fault.GONE


def leaves_doubt(error: PyMongoError) -> bool:
    """Say whether a command by itself that ended so may have been done."""
    if isinstance(error, ServerSelectionTimeoutError | WaitQueueTimeoutError):
        return False
    return isinstance(error, ConnectionFailure | WriteConcernError | ExecutionTimeout)


class Tries:
    """The tries of one call.

    Attributes:
        doubtful: Whether what the call does may have been done already.
    """

    def __init__(self, patience: float) -> None:
        self.doubtful = False
        self._end = _now() + patience
        self._failed = 0

    def doubt(self, patience: float) -> None:
        """Note that it may have been done, and try to find out for at least this long."""
        if not self.doubtful:
            self.doubtful = True
            self._end = max(self._end, _now() + patience)

    async def again(self, error: PyMongoError | DocumentTooLarge) -> None:
        """Return when it is time for a new try; raise what the caller is told if there is none.

        Raises:
            StoreUnavailableError: The database cannot do it now.
            TooLargeError: It can never do it.
            PyMongoError: The error, which is a mistake of ours.
        """
        if isinstance(error, DocumentTooLarge) or _is_too_large(error):
            raise TooLargeError("This is larger than the database can keep (16 MB).") from error
        fault = fault_of(error)
        if fault is Fault.BUG:
            raise error
        pause = self._pause(fault)
        if fault is Fault.GONE or _now() + pause > self._end:
            raise StoreUnavailableError(UNKNOWN if self.doubtful else None) from error
        await asyncio.sleep(pause)

    def _pause(self, fault: Fault) -> float:
        first = _COLLISION_PAUSE if fault is Fault.BUSY else _LOSS_PAUSE
        longest = min(first * 2**self._failed, _LONGEST_PAUSE)
        self._failed += 1
        # Writers that collided must not collide again, nor all come back at once.
        return random.uniform(0, longest)  # noqa: S311 - no secret


def _is_too_large(error: PyMongoError) -> bool:
    return isinstance(error, OperationFailure) and error.code in _TOO_LARGE


def _now() -> float:
    return asyncio.get_running_loop().time()
