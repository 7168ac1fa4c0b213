"""What to ask of a server, and in whose words."""

import itertools
from dataclasses import dataclass
from typing import Any

import mockllm
from client import Protocol

_numbers = itertools.count()


@dataclass(slots=True, kw_only=True)
class Shape:
    """What to do to the server."""

    turns: int = 100
    concurrency: int = 1
    rate: float = 0.0
    """Turns a second, in open loop; 0 for the closed loop."""
    ramp: float = 0.0
    """Seconds over which the streams of the closed loop start."""
    pause_ms: float = 0.0
    """Between two turns of one stream."""
    tokens: int = 200
    first_ms: int = 0
    gap_ms: int = 0
    pack: int = 0
    """Without a gap: tokens in one write of the provider; 0 for all."""
    seed: int = 0
    fault: str = ""
    """Makes the provider fail: `status=500`, or `cut=20` to break off after 20 tokens."""
    keep_thread: bool = False
    """Every stream goes on in its own thread, instead of starting one with each turn."""
    prefill: int = 0
    """First have this many one-token turns in one thread, then stay in it."""
    prefill_threads: int = 0
    """First make this many threads of one turn."""
    per_client: bool = False
    """An identity for each stream, instead of one for the run."""
    protocol: Protocol = "chatkit"
    may_refuse: bool = False
    """An answer of status 503 is no failure, but counted as refused."""
    reread: bool = False
    """Afterwards load every thread again, and compare what was stored."""
    warmup: int = 3
    timeout: float = 60.0

    def prompt(self, **changes: int) -> str:
        """Return a user message that tells the mock what to send."""
        values = {
            "tokens": self.tokens,
            "first": self.first_ms,
            "gap": self.gap_ms,
            "pack": self.pack,
            "seed": self.seed,
            **changes,
        }
        directive = ",".join(f"{name}={value}" for name, value in values.items())
        return f"bench:{directive}{',' + self.fault if self.fault and not changes else ''};"

    def body(self, text: str, thread_id: str | None) -> dict[str, Any]:
        """Return the request that sends a message, to a new thread or to this one."""
        match self.protocol:
            case "chatkit":
                return _chatkit(text, thread_id)
            case "openai":
                messages = [{"role": "user", "content": text}]
                return {"model": mockllm.MODEL, "stream": True, "messages": messages}
            case "ag-ui":
                number = next(_numbers)
                return {
                    "threadId": f"t{number}",
                    "runId": f"r{number}",
                    "state": {},
                    "tools": [],
                    "context": [],
                    "forwardedProps": {},
                    "messages": [{"id": f"m{number}", "role": "user", "content": text}],
                }


def _chatkit(text: str, thread_id: str | None) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    message = {"content": content, "attachments": [], "inference_options": {}}
    if thread_id is None:
        return {"type": "threads.create", "params": {"input": message}}
    params = {"thread_id": thread_id, "input": message}
    return {"type": "threads.add_user_message", "params": params}
