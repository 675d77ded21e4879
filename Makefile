# Every way to build, try and check treering. `make demo` and `make test` are all that a newcomer needs.
#
# Promises: nothing is installed outside .venv/ and target/; whatever is downloaded is pinned (Cargo.lock,
# requirements-dev.lock with hashes); a second run compiles nothing and downloads nothing.
# Never set RUSTFLAGS here, nor an environment for one recipe only: cargo and maturin would rebuild each
# other's work.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= $(shell tools/preflight --python)
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin

# What maturin hands to cargo, so that cargo alone sees the same and finds its work done.
export PYO3_PYTHON := $(BIN)/python
export PYO3_BUILD_EXTENSION_MODULE := 1
export PYO3_ENVIRONMENT_SIGNATURE := $(shell $(or $(wildcard $(BIN)/python),$(PYTHON)) -c \
	'import sys; print("cpython-%d.%d-%dbit" % (*sys.version_info[:2], sys.maxsize.bit_length() + 1))')
unexport RUSTFLAGS
unexport PYTHONPATH

export TREERING_IPLD_FIXTURES := $(CURDIR)/$(VENV)/ipld-fixtures
# Real conversations, where they lie beside the checkout; the tests that want them skip by name elsewhere.
TREERING_DATA ?= $(realpath ../shared/data)
ifneq ($(TREERING_DATA),)
export TREERING_DATA
endif

# Up to this compiler a warning is an error. A newer one knows new warnings, which aren't a newcomer's fault.
RUSTC_MINOR_KNOWN := 95
PYTEST := $(BIN)/python -m pytest
# Two at a time: one of them mostly waits for a disk, a process or a compiler.
TWO := --numprocesses 2 -p no:benchmark
# Folders too, so that a deleted file counts as a change; not rust/ itself, whose name is a target here.
RUST_SOURCES := $(shell find rust -mindepth 1 \( -type f -o -type d \) -not -name '.*' -not -name '*~')

.DEFAULT_GOAL := help
.PHONY: help preflight env build demo test lint rust py types docs test-long bench gen lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

preflight: ## check what the machine needs; say what to install if something is missing
	@tools/preflight && echo "this machine has all that the build needs"

env: ## what cargo and maturin are told; eval "$(make -s env)" to call them by hand
	@env | sed -n 's/^\(PYO3_[A-Z_]*\|TREERING_[A-Z_]*\)=\(.*\)/export \1="\2"/p' | LC_ALL=C sort

$(VENV)/.deps: requirements-dev.lock tests/ipld-fixtures.lock
	tools/preflight
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	$(BIN)/python tools/ipld_fixtures.py tests/ipld-fixtures.lock $(TREERING_IPLD_FIXTURES)
	touch $@

# An editable install: Python files are read from python/, only the Rust library is copied there.
$(VENV)/.built: $(VENV)/.deps Cargo.toml Cargo.lock pyproject.toml $(RUST_SOURCES)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --locked
	touch $@

build: $(VENV)/.built ## compile treering and install it, editable, into .venv

demo: $(VENV)/.built ## what treering does, on a dozen conversations
	$(BIN)/treering demo

test: lint rust py types docs ## everything below 15 minutes: the five that follow

lint: $(VENV)/.deps ## formatting, clippy, ruff, the layers' arrows
	cargo fmt --all --check
	deny="-D warnings"; \
	minor=$$(rustc --version | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p'); \
	if [ "$$minor" -gt $(RUSTC_MINOR_KNOWN) ]; then deny=""; fi; \
	cargo clippy --locked --quiet --workspace --all-targets -- $$deny
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/python tools/layers.py
	PYTHONPATH=python $(BIN)/lint-imports --no-cache --no-logo

rust: $(VENV)/.deps ## tests of the core crates, and of what speaks to buckets
	cargo test --locked --quiet
	cargo test --locked --quiet --package treering-objects

py: $(VENV)/.built ## tests of the Python API, the command line and the build itself
	$(PYTEST) tests --ignore=tests/docs --ignore=tests/typing $(TWO) --dist loadfile

types: $(VENV)/.built ## mypy --strict on the package and a consumer, stubs against the compiled module
	$(BIN)/mypy python/treering tests/typing
	$(BIN)/stubtest --mypy-config-file pyproject.toml treering._core treering.aio

docs: $(VENV)/.built ## snippets of README and docs, and the examples, run as tests
	$(PYTEST) tests/docs

test-long: $(VENV)/.built ## what takes minutes, the wheel in a clean environment among it; two at a time
	$(PYTEST) tests -m long $(TWO) --dist worksteal --durations 12

bench: $(VENV)/.deps ## benchmarks of the Python API and of the core, optimised builds (read benches/README.md first)
	rm -rf target/bench && mkdir -p target/bench
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin build --release --locked --interpreter $(BIN)/python --out target/bench
	$(BIN)/python -m pip install --quiet --no-deps --no-index --target target/bench/site target/bench/*.whl
	PYTHONPATH=target/bench/site $(PYTEST) benches -o pythonpath=benches --benchmark-only --benchmark-disable-gc \
	  --benchmark-columns=median,iqr,rounds --benchmark-json=target/bench/python.json
	$(BIN)/python benches/report.py target/bench/python.json
	cargo bench --locked --package treering-bench

gen: $(VENV)/.deps ## generated sources: the messages of the .proto files, the types of treering.aio
	$(BIN)/python tools/gen_messages.py
	$(BIN)/python tools/gen_aio.py

lock: ## renew requirements-dev.lock from requirements-dev.in (UPGRADE=1: newest versions)
	PYTHON=$(PYTHON) tools/lock

clean: ## remove .venv and target
	rm -rf $(VENV) target python/treering/_core.*.so
