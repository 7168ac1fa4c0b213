"""Every error that Chatkeep raises on purpose.

    ChatkeepError
    ├── SettingsError            the start stops with one line
    ├── NotFoundError            also chatkit's NotFoundError: unknown, or somebody else's
    ├── InvalidRequestError      the request is not one of the protocol
    ├── UnsupportedError         the request asks for what this server does not offer
    ├── ConflictError            the request contradicts what is stored
    │   ├── HeldError                a legal hold forbids to delete
    │   ├── TurnRunningError         the thread has a running turn
    │   └── LeaseLostError           somebody else works on the turn now
    ├── BudgetExceededError      the tokens or the money for a day or a month are used up
    ├── PrunedError              the events of an ended turn are not kept any more
    ├── KeyReusedError           an idempotency key came with another request
    ├── LinkError                a signed link is expired or not ours
    ├── TooLargeError            more bytes than allowed
    ├── FileTypeError            a type of file that is not taken, or not what it claims to be
    ├── CopyError                what was copied is not equal to its source, or must not be written
    ├── StoreUnavailableError    the database is gone or too slow
    ├── StorageUnavailableError  the file storage is gone, full or too slow
    ├── RelayUnavailableError    wake-ups do not reach other instances, or not from them
    ├── ShuttingDownError        no new work is taken
    ├── OverloadedError          no more work is taken for the moment
    ├── UnauthenticatedError     nobody we know is asking
    │   └── InvalidTokenError        somebody asks with a token that proves nothing
    ├── IssuerUnavailableError   the keys to check tokens with cannot be had
    └── ModelError               the provider failed; the subclasses say how
        ├── ModelCredentialsError    401, 403
        ├── ModelRequestError        other 4xx: our request was refused
        ├── ModelRateLimitError      429, 402
        ├── ModelUnavailableError    5xx, no connection, broken stream, no such model
        ├── ModelTimeoutError        no token within the limit
        └── ModelInterruptedError    the stream ended before the answer did

The docstring of a class is its default message, written for the person who reads it: an operator
for SettingsError, the user of the chat for the others. The error that caused it is `__cause__`.
"""

from datetime import datetime

from chatkit.store import NotFoundError as ChatKitNotFoundError


class ChatkeepError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class SettingsError(ChatkeepError):
    """The settings do not allow a start."""


class NotFoundError(ChatkeepError, ChatKitNotFoundError):
    """There is nothing with this id."""


class InvalidRequestError(ChatkeepError):
    """The request is not valid."""


class UnsupportedError(ChatkeepError):
    """This server does not offer that."""


class ConflictError(ChatkeepError):
    """The request does not fit the present state of the thread."""


class HeldError(ConflictError):
    """This must be kept for legal reasons and cannot be deleted."""


class TurnRunningError(ConflictError):
    """Another answer is still running in this conversation."""

    def __init__(self, message: str | None = None, *, turn_id: str = "") -> None:
        super().__init__(message)
        self.turn_id = turn_id


class LeaseLostError(ConflictError):
    """Another instance works on this answer now."""


class BudgetExceededError(ChatkeepError):
    """What may be used for now is used up. Please try again later."""

    def __init__(
        self,
        message: str | None = None,
        *,
        budget: str = "",
        renewed_at: datetime | None = None,
        held: bool = False,
    ) -> None:
        super().__init__(message)
        self.budget = budget
        self.renewed_at = renewed_at
        self.held = held
        """Only what is put aside for open turns is in the way: some of it comes back."""


class PrunedError(ChatkeepError):
    """The events of this answer are not kept any more. Load the conversation's messages."""


class KeyReusedError(ChatkeepError):
    """This idempotency key was used with another request. Use a new one."""


class CopyError(ChatkeepError):
    """The copy is not equal to its source."""


class StoreUnavailableError(ChatkeepError):
    """The database cannot be reached right now. Nothing was saved; please try again."""


class LinkError(ChatkeepError):
    """This link is not valid, or not any more."""


class TooLargeError(ChatkeepError):
    """This is too large."""


class FileTypeError(ChatkeepError):
    """Files of this type are not taken."""


class StorageUnavailableError(ChatkeepError):
    """The file storage cannot be used right now. Nothing was saved; please try again."""


class RelayUnavailableError(ChatkeepError):
    """Other instances are not woken right now; they look by themselves."""

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        """What is wrong, for the operator; without secrets, but not for strangers."""


class ShuttingDownError(ChatkeepError):
    """This server is restarting. Please try again in a moment."""


class OverloadedError(ChatkeepError):
    """Too many answers are being written at the moment. Please try again in a few seconds."""


class UnauthenticatedError(ChatkeepError):
    """Sign in to use this chat."""


class InvalidTokenError(UnauthenticatedError):
    """The token is not valid."""


class IssuerUnavailableError(ChatkeepError):
    """Your sign-in cannot be checked right now. Please try again."""

    hint: str | None = None
    """What is wrong, for the operator; not for strangers."""


class ModelError(ChatkeepError):
    """The model could not answer. Please try again."""

    hint: str | None = None
    """What the operator can do about it; not for strangers."""


class ModelCredentialsError(ModelError):
    """The model provider did not accept this server's credentials."""


class ModelRequestError(ModelError):
    """The model provider refused the request."""

    too_long: bool = False
    """Whether there was more in it than the model's context takes."""


class ModelRateLimitError(ModelError):
    """The model provider is receiving too many requests. Please try again in a moment."""

    spent: bool = False
    """Whether what was paid for is used up, so that waiting does not help."""


class ModelUnavailableError(ModelError):
    """The model provider cannot be reached right now. Please try again."""


class ModelTimeoutError(ModelError):
    """The model did not answer in time. Please try again."""


class ModelInterruptedError(ModelError):
    """The answer was cut off before it was complete. Please try again."""
