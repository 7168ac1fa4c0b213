#!/bin/sh
# Install the peers that `make bench` measures beside Chatkeep, in an environment of their own.
set -eu
cd "$(dirname "$0")/.."
scripts/uv venv --quiet --clear --python .venv/bin/python .tools/peers
scripts/uv pip install --quiet --python .tools/peers \
  'litellm[proxy]' 'pydantic-ai-slim[openai,ag-ui]' uvicorn
