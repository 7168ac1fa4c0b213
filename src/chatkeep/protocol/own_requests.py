"""What `POST /chatkit` answers beside the protocol; official clients never ask for it.

Both are streamed as an answer to a message is. Their names begin with `chatkeep.`.
"""

from typing import Annotated, Any, Literal

from chatkit.types import (
    BaseReq,
    ChatKitReq,
    StreamingReq,
    UserMessageInput,
    is_streaming_req,
)
from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import TypeIs


class MessageParams(BaseModel):
    """A message of the user that is there, and what it is to be instead.

    Attributes:
        thread_id: The thread.
        item_id: The message.
        input: The new message.
    """

    thread_id: str
    item_id: str
    input: UserMessageInput


class BranchParams(BaseModel):
    """As `MessageParams`; without an input the message is the same again."""

    thread_id: str
    item_id: str
    input: UserMessageInput | None = None


class EditMessageReq(BaseReq):
    """Change a message of the user; what came behind it goes, and it is answered anew."""

    type: Literal["chatkeep.edit_message"] = "chatkeep.edit_message"
    params: MessageParams


class BranchThreadReq(BaseReq):
    """Go on from a message of the user in a new thread, with copies of what came before it."""

    type: Literal["chatkeep.branch_thread"] = "chatkeep.branch_thread"
    params: BranchParams


type AnyStreamingReq = StreamingReq | EditMessageReq | BranchThreadReq
type AnyReq = ChatKitReq | EditMessageReq | BranchThreadReq

own_requests: TypeAdapter[Any] = TypeAdapter(
    Annotated[EditMessageReq | BranchThreadReq, Field(discriminator="type")]
)


def is_streaming(request: AnyReq) -> TypeIs[AnyStreamingReq]:
    """Whether a request is answered by the events of a turn."""
    return isinstance(request, EditMessageReq | BranchThreadReq) or is_streaming_req(request)
