# One door for people and CI. Every target sets up what it needs: Python 3.11 and make are enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
STAMP  := $(VENV)/.installed
BARS   ?=
# One more than there are cores: tests wait for processes and sockets about a third of their time.
PYTEST_WORKERS ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count() + 1)")
TESTS  = -m pytest -n $(PYTEST_WORKERS) --dist worksteal --ignore=tests/system
PYTEST = $(BIN)/python $(TESTS)

# The scripts of this project must find compiled bytecode, whatever the shell says about writing it.
export PYTHONDONTWRITEBYTECODE :=

# A virtual environment of what a lock names; says each step.
ENVIRONMENT := PYTHON=$(PYTHON) infra/environment.sh
# The checkout itself: code that is edited here is what runs.
CHECKOUT := install --quiet --no-deps --no-build-isolation --editable .

.PHONY: help runtime setup demo demo-book test test-long coverage check system packages families peers image format bench bench-small bench-full lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

# Enough for both commands and `make demo`. Nothing is compiled ahead: a demo imports a part of it.
runtime: $(RUNTIME) ## .venv with what `trader` and `backtest` need

$(RUNTIME): requirements-runtime.lock pyproject.toml
	@$(ENVIRONMENT) $(VENV) requirements-runtime.lock
	@$(BIN)/uv pip $(CHECKOUT) --python $(BIN)/python || $(BIN)/python -m pip --disable-pip-version-check $(CHECKOUT)
	@touch $@

setup: $(STAMP) ## .venv with all locked dependencies, bytecode compiled

$(STAMP): $(RUNTIME) requirements.lock
	@$(ENVIRONMENT) $(VENV) requirements.lock --compile-bytecode
	@$(BIN)/python -m compileall -q trader backtest
	@touch $@

demo: runtime ## the main job, offline: two years collected, a study, two weeks traded (BARS=FILE for real bars)
	@$(BIN)/trader demo $(if $(BARS),--bars $(BARS))

demo-book: runtime ## ten symbols on one account, offline: collected, trained, three days traded (BARS=FOLDER for real bars)
	@$(BIN)/trader demo --book $(if $(BARS),--bars $(BARS))

test: setup ## every test that needs Python only, and no hour or example more than a claim needs
	$(PYTEST) -m "not long"

test-long: setup ## the same claims over more hours and examples; before a release
	HOURLY_TRADER_ALL_EXAMPLES=yes $(PYTEST) -m "long or hypothesis"

# Each package of the bot's decisions is judged alone.
COVERED := core app adapters

coverage: setup ## the tests with branch coverage; fails below 95 % of trader/core, trader/app or trader/adapters
	@rm -f .coverage .coverage.*
	HOURLY_TRADER_ALL_EXAMPLES=yes $(BIN)/coverage run $(TESTS) -m "not long" --timeout 900
	@echo "adding up; of some processes that tests killed no count is left, which is warned of"
	@$(BIN)/coverage combine --quiet && rm -f .coverage.*
	@low=0; for package in $(COVERED); do \
	    $(BIN)/coverage report --include "trader/$$package/*" --fail-under 95 || low=1; \
	done; exit $$low

# Debian packages that the system tests start; each suite lists its own.
PACKAGES = $(shell sed 's/\#.*//' tests/system/packages*.txt)
AS_ROOT  = $(if $(filter 0,$(shell id -u)),,sudo )
SYSTEM   := .venv-system
# Snakemake asks for older libraries than the bot's; it starts `backtest` as a program, and needs none of them.
SNAKEMAKE := .venv-snakemake

system: packages $(SYSTEM)/.installed $(SNAKEMAKE)/.installed ## every test against real servers, containers and browsers (Debian, root or sudo)
	$(SYSTEM)/bin/python -m pytest tests/system -n 2 --dist loadscope --no-loadscope-reorder --timeout 900 --durations=15

packages:
	@dpkg-query -W $(PACKAGES) >/dev/null 2>&1 || { $(AS_ROOT)apt-get update -qq && \
	    $(AS_ROOT)env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGES); }

$(SYSTEM)/.installed: requirements-system.lock pyproject.toml
	@$(ENVIRONMENT) $(SYSTEM) requirements-system.lock
	@$(SYSTEM)/bin/python -m pip --disable-pip-version-check $(CHECKOUT)
	@touch $@

$(SNAKEMAKE)/.installed: requirements-snakemake.lock
	@$(ENVIRONMENT) $(SNAKEMAKE) requirements-snakemake.lock
	@touch $@

# torch stands beside the lock: pip finds the CPU's build where its configuration names one, uv would fetch that of a GPU, of gigabytes.
TORCH    ?= torch==2.13.0
FAMILIES := .venv-families

families: $(FAMILIES)/.installed ## .venv-families (torch, Prophet, statsforecast; pandas 2.3): the tests of their families
	$(FAMILIES)/bin/python -m pytest tests/families -n $(PYTEST_WORKERS) --dist loadscope --no-loadscope-reorder --durations=10

$(FAMILIES)/.installed: requirements-families.lock pyproject.toml
	@$(ENVIRONMENT) $(FAMILIES) requirements-families.lock --compile-bytecode
	@$(FAMILIES)/bin/python -m pip --disable-pip-version-check install --quiet $(TORCH)
	@$(FAMILIES)/bin/python -m pip --disable-pip-version-check $(CHECKOUT)
	@touch $@

# BASE: another image with Python 3.11. TRACKERS=yes: with MLflow and neptune. ENGINE: docker, else buildah.
IMAGE    ?= hourly-trader
TRACKERS ?= no
ENGINE   ?= $(if $(shell command -v docker),docker build,buildah bud --layers --format docker)

image: ## the container image (IMAGE=name, TRACKERS=yes, BASE=image with Python 3.11)
	$(ENGINE) $(if $(BASE),--build-arg BASE=$(BASE)) --build-arg TRACKERS=$(TRACKERS) -t $(IMAGE) .

# mypy keeps one core busy. On another one the tests are collected, which compiles them and every library that they import: each
# worker of `make test` would do that for itself.
check: setup ## ruff, ruff format, mypy strict; every test can be collected
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/python -m pytest --ignore=tests/system --collect-only -qq > $(VENV)/collected.txt 2>&1 & collecting=$$!; \
	echo $(BIN)/mypy; $(BIN)/mypy; code=$$?; \
	wait $$collecting || { cat $(VENV)/collected.txt; exit 1; }; \
	exit $$code

format: setup ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

PEERS := .venv-peers

peers: $(PEERS)/.installed ## .venv-peers: vectorbt, FreqAI, FastAPI and statsforecast, which the benchmarks compare with

$(PEERS)/.installed: requirements-peers.lock
	@$(ENVIRONMENT) $(PEERS) requirements-peers.lock
	@touch $@

bench: setup peers $(FAMILIES)/.installed ## the numbers, as ratios within one run
	$(BIN)/python -m benchmarks

bench-small: setup packages $(SYSTEM)/.installed peers $(FAMILIES)/.installed ## every benchmark small: results are judged, times are not
	$(BIN)/python -m benchmarks --small

bench-full: setup peers $(FAMILIES)/.installed ## the numbers, long: ten seeds, medians of five pairs
	$(BIN)/python -m benchmarks --full

# Figures of `backtest report`, 95 MB: a report is written at a desk, and by the image that has the trackers.
REPORT_ONLY := contourpy cycler fonttools kiwisolver matplotlib pillow pyparsing

COMPILE := uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --annotation-style line
RESOLVE := $(COMPILE) pyproject.toml

# The families whose libraries ask for a pandas below the one that everything else runs on have a lock of their own.
EXTRAS   := $(addprefix --extra ,observability mlflow lightgbm neptune serve traces export sql redis)
OTHERS   := $(addprefix --extra ,observability lightgbm arima prophet tft ray serve export) --group families
# What the image has: the page, and the answers of `trader serve`.
SERVED   := $(addprefix --extra ,observability serve)
TRACKED  := $(addprefix --extra ,mlflow lightgbm neptune)
# What a study needs to be computed by other machines: its tests start the real engines.
MACHINES := $(addprefix --extra ,ray ray-serve slurm postgresql)

lock: ## resolve the lock files anew (needs uv)
	$(RESOLVE) --universal $(EXTRAS) --group dev -o requirements.lock
	$(RESOLVE) --universal --extra observability --group install -c requirements.lock -o requirements-runtime.lock
	$(RESOLVE) $(EXTRAS) $(MACHINES) --group dev --group system -c requirements.lock -o requirements-system.lock
	sed -n '/^[a-z0-9]/s/ \\$$//p' requirements.lock | grep -v '^pandas' > .constraints
	$(RESOLVE) --override infra/families/without-torch.txt $(OTHERS) -c .constraints -o requirements-families.lock
	rm .constraints
	$(RESOLVE) $(SERVED) $(addprefix --no-emit-package ,$(REPORT_ONLY)) -c requirements.lock -o infra/image.lock
	$(RESOLVE) $(SERVED) $(TRACKED) -c requirements.lock -o infra/image-trackers.lock
	$(COMPILE) --override benchmarks/peers.override -o requirements-peers.lock benchmarks/peers.in
	printf 'snakemake>=9.27,<10\nsnakemake-executor-plugin-slurm>=2.8\n' | $(COMPILE) -o requirements-snakemake.lock -
	echo hatchling | $(COMPILE) -c requirements.lock -o infra/image/build.lock -

clean: ## remove what the targets made
	rm -rf $(VENV) $(SYSTEM) $(SNAKEMAKE) $(FAMILIES) $(PEERS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
