# `make` alone lists the targets.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOG := var/log/install.log
# The ref of the contract that clients have now, for `buf breaking`.
BASE ?= $(shell git rev-parse -q --verify origin/main >/dev/null 2>&1 && echo refs/remotes/origin/main || echo refs/heads/main)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+(-NAME)?:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# --- set-up -----------------------------------------------------------------------------------------

$(VENV)/bin/python:
	@[ -w . ] || { echo "error: cannot write to $(CURDIR); Finstage keeps $(VENV) and var/ there" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "error: Finstage needs Python 3.11 or newer; PYTHON=$(PYTHON) is `$(PYTHON) --version 2>&1`" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) -m venv failed (on Debian: apt install python3-venv)" >&2; exit 1; }

# The distributions of this repository; each comes before those that depend on it.
OURS := protos libs/market libs/cache libs/barfile libs/rpc clients/python
PROJECTS := pyproject.toml constraints.txt $(OURS:%=%/pyproject.toml)

# $(call install,EXTRA): a failure prints one line; the log has pip's whole output.
define install
	@mkdir -p var/log 2>/dev/null && [ -w var/log ] || { echo "error: cannot write to $(CURDIR)/var; Finstage keeps its data and logs there" >&2; exit 1; }
	@echo "installing finstage[$(1)] into $(VENV) (log: $(LOG))"
	@$(BIN)/python -m pip install --disable-pip-version-check --retries 2 -c constraints.txt $(OURS:%=-e ./%) -e '.[$(1)]' >$(LOG) 2>&1 || \
	  { echo "error: pip could not install finstage[$(1)] (`grep -oiE 'could not find a version.*|no matching distribution.*|no space left.*' $(LOG) | head -n 1 | cut -c1-120`): is a package index reachable? pip's whole output: $(LOG)" >&2; exit 1; }
	@touch $@
endef

$(VENV)/.run: $(PROJECTS) | $(VENV)/bin/python
	$(call install,all)

$(VENV)/.dev: $(PROJECTS) | $(VENV)/bin/python
	$(call install,dev)

.PHONY: run
run: $(VENV)/.run ## install, start everything on this machine, print what to try; Ctrl-C stops it
	@exec $(BIN)/finstage up

# --- checks -----------------------------------------------------------------------------------------

.PHONY: test
test: $(VENV)/.dev ## the whole suite, against a real Redis and a real PostgreSQL
	@$(BIN)/python -m pytest

.PHONY: lint
lint: $(VENV)/.dev ## lint, format, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: buf
buf: $(VENV)/.dev ## lint the contracts, and check for breaking changes against main
	@$(BIN)/buf lint
	@$(BIN)/buf format --diff --exit-code protos
	@$(BIN)/buf breaking --against '.git#ref=$(BASE)'

.PHONY: check
check: lint buf test ## everything that CI runs (a test covers the drift of generated code)

.PHONY: generate
generate: $(VENV)/.dev ## regenerate the contracts in Python
	@$(BIN)/python protos/generate.py

.PHONY: generate-clients
generate-clients: $(VENV)/.dev ## regenerate the contracts in Go, JavaScript and Java (needs go, npm and mvn)
	@npm ci --silent --prefix clients/node
	@mvn -q -B -f clients/java/pom.xml initialize
	@chmod +x clients/java/target/protoc/*.exe
	@$(BIN)/buf generate
	@$(BIN)/buf generate --template clients/node/buf.gen.yaml

# --- measurements and proofs ------------------------------------------------------------------------

BENCHES := $(patsubst bench/%.py,%,$(shell grep -l __main__ bench/*.py))
.PHONY: bench
bench: $(addprefix bench-,$(BENCHES)) ## run all benchmarks

# A single one: make bench-NAME, make proof-NAME.
bench-%: $(VENV)/.dev
	@$(BIN)/python -m bench.$*

proof-%: $(VENV)/.dev
	@$(BIN)/python -m proof.$*

# --- containers -------------------------------------------------------------------------------------

.PHONY: test-compose
test-compose: ## build and start the containers, make the README's first calls, remove everything
	@./tests/compose.sh
