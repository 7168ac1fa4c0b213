"""A word, put wherever a conversation can hold one, and looked for in files byte by byte."""

from collections.abc import AsyncIterator
from pathlib import Path

from chatkit.types import FeedbackKind, FileAttachment

from chatkeep.context import RequestContext
from chatkeep.files.keys import Place, new_key
from chatkeep.ids import new_id
from chatkeep.ports import EventRow, FileStorage, Record, Store, TurnOrder
from chatkeep.ports.spending import COUNTED
from chatkeep.testing import store_samples as samples


async def plant(
    store: Store, storage: FileStorage, context: RequestContext, word: str, threads: int = 1
) -> list[str]:
    """Store conversations of a user with the word in every part; return the threads' ids."""
    return [await _plant_thread(store, storage, context, word) for _ in range(threads)]


async def _plant_thread(
    store: Store, storage: FileStorage, context: RequestContext, word: str
) -> str:
    principal = context.principal
    thread_id, question_id, answer_id, turn_id = (new_id(p) for p in ("thr", "msg", "msg", "trn"))
    attachment_id = new_id("atc")
    key = new_key(Place(principal.tenant, principal.user, attachment_id))

    async def content() -> AsyncIterator[bytes]:
        yield f"bytes with {word}\n".encode() * 1000

    await storage.put(key, content())
    attachment = FileAttachment(
        id=attachment_id,
        name=f"{word}.txt",
        mime_type="text/plain",
        metadata={"key": key, "note": word},
    )
    await store.save_attachment(attachment, context)
    thread = samples.thread(thread_id, title=f"About {word}", metadata={"note": word})
    sent = attachment.model_copy(update={"thread_id": thread_id})
    question = samples.question(question_id, sent, thread_id=thread_id)
    question.content[0].text = f"What is {word}?"
    await store.create_thread(thread, question, context)
    order = TurnOrder(
        id=turn_id,
        thread_id=thread_id,
        request=f'{{"text": "{word}"}}',
        digest="d",
        holder="h",
        lease=60,
    )
    turn = await store.begin_turn(order, context)
    row = EventRow(1, 1, f'data: {{"text": "{word}"}}')
    sign = samples.sign(turn_id, turn.fence, context, rows=[row], doing=f"tool {word}")
    await store.keep_turns([sign])
    await store.begin_tool_call(turn_id, turn.fence, f"call {word}", word, context)
    whose = {"tenant": principal.tenant, "owner": principal.user}
    spent: Record = {"day": 20_000, "model": word, "currency": "USD", **dict.fromkeys(COUNTED, 1)}
    await store.write_records("spending", [{**whose, **spent}])
    answer = samples.message(answer_id, f"It is {word}.", thread_id=thread_id)
    await store.add_thread_item(thread_id, answer, context)
    await store.add_feedback(thread_id, [answer_id], FEEDBACK, context)
    await store.create_share(thread_id, new_id("shr"), new_id("digest"), None, context)
    return thread_id


FEEDBACK: FeedbackKind = "positive"


def files_with(word: str, *places: Path) -> list[str]:
    """Return the files, also below directories, that have the word in their bytes, in any case."""
    files = [
        file
        for place in places
        for file in (sorted(place.rglob("*")) if place.is_dir() else [place])
        if file.is_file()
    ]
    return [file.name for file in files if word.encode().lower() in file.read_bytes().lower()]
