# Chatkeep. `make help` lists the targets; each installs what it needs, once.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help serve test test-web test-style check fmt bench bench-quick bench-peers bench-stores chaos docs web lock wheel clean

PY := .venv/bin/python
STAMPS := .tools/stamps
WEB_SOURCES := $(shell find web -type f -not -path '*/node_modules/*' -not -path '*/.test-dist/*')

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(STAMPS)/python $(STAMPS)/web ## Start the server on http://127.0.0.1:8000
	@exec .venv/bin/chatkeep serve

test: $(STAMPS)/python $(STAMPS)/web $(STAMPS)/servers ## Run every check and test
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-web test-style
	@$(PY) -m pytest --numprocesses=2 --dist=loadfile --durations=20 --durations-min=4 $(PYTEST)

test-web:
	@scripts/with-node npm --prefix web run --silent check
	@scripts/with-node npm --prefix web run --silent test

test-style:
	@$(PY) -m ruff format --check --quiet src tests bench
	@$(PY) -m ruff check --quiet src tests bench
	@$(PY) -m mypy --no-error-summary
	@.venv/bin/lint-imports > .tools/imports.log 2>&1 || { cat .tools/imports.log; exit 1; }

check: $(STAMPS)/python ## Print the settings and probe every dependency
	@.venv/bin/chatkeep check

fmt: $(STAMPS)/python $(STAMPS)/node ## Format and fix what can be fixed
	@$(PY) -m ruff check --fix --quiet src tests bench || true
	@$(PY) -m ruff format src tests bench
	@scripts/with-node npm --prefix web run --silent fmt

bench: $(STAMPS)/python ## Measure everything beside the plainest server, in 25 minutes
	@$(PY) bench/run.py $(BENCH)

bench-quick: $(STAMPS)/python ## Measure what a turn and a token cost, in a minute or two
	@$(PY) bench/run.py --quick $(BENCH)

bench-peers: $(STAMPS)/python ## Install the servers of others that `make bench` then measures, too
	@bench/peers.sh

bench-stores: $(STAMPS)/python ## Measure what long threads and long lists cost
	@$(PY) bench/stores.py

chaos: $(STAMPS)/python $(STAMPS)/servers ## Kill, freeze and cut off for three quarters of an hour, and note what happened
	@rm -f .tools/chaos.jsonl
	@CHAOS_SIZE=full CHAOS_FIGURES=$(CURDIR)/.tools/chaos.jsonl $(PY) -m pytest tests/chaos --timeout=3600 $(PYTEST)
	@$(PY) tests/support/sizes.py < .tools/chaos.jsonl | tee .tools/chaos.md

docs: $(STAMPS)/python ## Check the documentation's links and examples
	@$(PY) -m pytest -q tests/unit/test_docs.py

web: $(STAMPS)/web ## Build the element and the page

lock: $(STAMPS)/uv ## Write requirements.lock anew from pyproject.toml
	@scripts/uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.12 \
	  --extra local --extra postgres --extra mongodb --extra redis --extra objects --extra http2 --group dev --group weights --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links --output-file requirements.lock

wheel: $(STAMPS)/web $(STAMPS)/uv ## Build the wheel, front end included
	@scripts/uv build --wheel --quiet

clean: ## Remove what the other targets made (not .chatkeep, your conversations)
	@rm -rf .venv .tools dist web/node_modules web/.test-dist src/chatkeep/assets

$(STAMPS)/uv: scripts/uv
	@scripts/uv --version > /dev/null
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/python: $(STAMPS)/uv scripts/make-environment requirements.lock pyproject.toml
	@scripts/make-environment
	@touch $@

$(STAMPS)/node: scripts/with-node web/package-lock.json
	@mkdir -p $(STAMPS)
	@scripts/with-node npm --prefix web ci --loglevel=error --no-audit --no-fund > .tools/npm.log 2>&1 || { cat .tools/npm.log; exit 1; }
	@touch $@

$(STAMPS)/web: $(STAMPS)/node $(WEB_SOURCES)
	@scripts/with-node npm --prefix web run --silent build
	@touch $@

$(STAMPS)/servers: scripts/install-test-servers
	@scripts/install-test-servers
	@mkdir -p $(STAMPS) && touch $@
