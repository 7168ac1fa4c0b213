"""The process in which the embedded model runs; `chatkeep.models.embedded` starts it.

Standard input brings one line of JSON and then stays open for as long as the parent lives: its end,
which a parent killed with -9 causes too, ends this process. Standard output carries one line of
JSON, with the port, when requests are accepted. Native code logs to standard error.

It is run by path and imports nothing of Chatkeep, whose packages would cost it seconds and memory.
"""

import faulthandler
import json
import os
import sys
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit


def main() -> None:
    """Serve until standard input ends."""
    faulthandler.enable()
    config = json.loads(sys.stdin.buffer.readline())
    # What native code prints must not be taken for the answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    server = _serve(config)
    port = urlsplit(server.listening_address).port
    os.write(answer, json.dumps({"port": port}).encode() + b"\n")
    os.close(answer)
    while sys.stdin.buffer.read(1):
        pass
    # Not a return: the server's destructor waits for the answers that are being written.
    os._exit(0)


def _serve(config: dict[str, Any]) -> Any:
    # Has no types, and is not installed everywhere where types are checked.
    xllamacpp = import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = config["path"]
    params.model_alias = {config["name"]}
    params.offline = True
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [config["api_key"]]
    params.ui = False
    params.endpoint_slots = False
    params.use_jinja = True
    params.n_parallel = config["slots"]
    params.n_ctx = config["slots"] * config["context_tokens"]
    params.cpuparams.n_threads = config["threads"]
    params.cpuparams_batch.n_threads = config["threads"]
    # Between batches others get their tokens and a request whose client has left is dropped.
    # With the default of 2,048 a long prompt made all others wait, and itself outlived its client,
    # for 44 s; with 128 it is about 1 s, and reading is hardly slower.
    params.n_batch = params.n_ubatch = 128
    # Conversations that lost their slot, 23 KB a token; the default is 8 GiB.
    params.cache_ram_mib = 256
    # Errors and warnings. The levels above also tell what users wrote.
    params.verbosity = 2
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
