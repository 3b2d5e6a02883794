# One door for people and CI. Every target sets up what it needs: Python 3.11 and make are enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
BARS   ?=
# One more than there are cores: tests wait for processes and sockets about a third of their time.
PYTEST_WORKERS ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count() + 1)")
PYTEST = $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal --ignore=tests/system

# The scripts of this project must find compiled bytecode, whatever the shell says about writing it.
export PYTHONDONTWRITEBYTECODE :=

# $(call locked,FOLDER,LOCK,OPTIONS): a new environment of what a lock names. uv does it in a tenth of pip's time, and comes by its
# own lines of a lock; where it cannot run, pip does it all.
INSTALL := install --quiet --no-deps --require-hashes
define locked
$(PYTHON) -m venv $(1)
@awk '/^[^ ]/ { ours = /^uv==/ } ours' requirements-peers.lock > $(1)/uv.lock
$(1)/bin/python -m pip $(INSTALL) --disable-pip-version-check -r $(1)/uv.lock \
    && $(1)/bin/uv pip $(INSTALL) $(3) --python $(1)/bin/python -r $(2) \
    || $(1)/bin/python -m pip $(INSTALL) --disable-pip-version-check -r $(2)
endef

.PHONY: help setup demo test test-long check system packages peers image format bench bench-small bench-full lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(STAMP) ## .venv with the locked dependencies, bytecode compiled, and the package itself

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hourly-trader needs Python 3.11 or newer; this is %s. Try: make PYTHON=python3.11 setup" % sys.version.split()[0] or 0)'
	$(call locked,$(VENV),requirements.lock,--compile-bytecode)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q trader backtest
	@touch $(STAMP)

demo: setup ## the main job, offline: two years collected, a study, two weeks traded (BARS=FILE for real bars)
	$(BIN)/trader demo $(if $(BARS),--bars $(BARS))

test: setup ## every test that needs Python only, and no hour or example more than a claim needs
	$(PYTEST) -m "not long"

test-long: setup ## the same claims over more hours and examples; before a release
	$(PYTEST) -m long

# Debian packages that the system tests start; each suite lists its own.
PACKAGES = $(shell sed 's/\#.*//' tests/system/packages*.txt)
AS_ROOT  = $(if $(filter 0,$(shell id -u)),,sudo )
SYSTEM   := .venv-system

system: packages $(SYSTEM)/.installed ## every test against real servers, containers and browsers (Debian, root or sudo)
	$(SYSTEM)/bin/python -m pytest tests/system -n 0 --durations=15

packages:
	@dpkg-query -W $(PACKAGES) >/dev/null 2>&1 || { $(AS_ROOT)apt-get update -qq && \
	    $(AS_ROOT)env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGES); }

$(SYSTEM)/.installed: requirements-system.lock pyproject.toml
	$(call locked,$(SYSTEM),requirements-system.lock)
	$(SYSTEM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# BASE: another image with Python 3.11. TRACKERS=yes: with MLflow and neptune. ENGINE: docker, else buildah.
IMAGE    ?= hourly-trader
TRACKERS ?= no
ENGINE   ?= $(if $(shell command -v docker),docker build,buildah bud --layers --format docker)

image: ## the container image (IMAGE=name, TRACKERS=yes, BASE=image with Python 3.11)
	$(ENGINE) $(if $(BASE),--build-arg BASE=$(BASE)) --build-arg TRACKERS=$(TRACKERS) -t $(IMAGE) .

check: setup ## ruff, ruff format, mypy strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

PEERS := .venv-peers

peers: $(PEERS)/.installed ## .venv-peers: vectorbt, FreqAI, FastAPI and statsforecast, which the benchmarks compare with

$(PEERS)/.installed: requirements-peers.lock
	$(call locked,$(PEERS),requirements-peers.lock)
	@touch $@

bench: setup peers ## the numbers, as ratios within one run
	$(BIN)/python -m benchmarks

bench-small: setup packages $(SYSTEM)/.installed peers ## every benchmark small: results are judged, times are not
	$(BIN)/python -m benchmarks --small

bench-full: setup peers ## the numbers, long: ten seeds, medians of five pairs
	$(BIN)/python -m benchmarks --full

# Figures of `backtest report`, 95 MB: a report is written at a desk, and by the image that has the trackers.
REPORT_ONLY := contourpy cycler fonttools kiwisolver matplotlib pillow pyparsing

COMPILE := uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --annotation-style line
RESOLVE := $(COMPILE) pyproject.toml

lock: ## resolve the lock files anew (needs uv)
	$(RESOLVE) --universal --all-extras --group dev -o requirements.lock
	$(RESOLVE) --all-extras --group dev --group system -c requirements.lock -o requirements-system.lock
	$(RESOLVE) --extra eyes $(addprefix --no-emit-package ,$(REPORT_ONLY)) -c requirements.lock -o infra/image.lock
	$(RESOLVE) --all-extras -c requirements.lock -o infra/image-trackers.lock
	$(COMPILE) --override benchmarks/peers.override -o requirements-peers.lock benchmarks/peers.in
	echo hatchling | $(COMPILE) -c requirements.lock -o infra/image/build.lock -

clean: ## remove what the targets made
	rm -rf $(VENV) $(SYSTEM) $(PEERS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
