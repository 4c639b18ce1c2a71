# One entry for people and CI. `make help` lists what there is.
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONPATH := $(CURDIR)
# pytest keeps the tests that it has rewritten beside them; otherwise each of its processes does that anew, every time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv parts demo test image e2e unit lint format simulate bench requirements chaos cluster cluster-down clean

help: ## What can be made
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.ready ## The Python environment, pinned by hash

$(VENV)/.ready: requirements/dev.txt requirements/bootstrap.txt pyproject.toml
	@echo "==> Python environment ($(VENV))"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes requirements/dev.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

requirements: venv ## Pin the dependencies anew (hashes, no registry named)
	$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header pyproject.toml --extra dev -o requirements/dev.txt
	echo 'hatchling>=1.27' | $(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate -c requirements/dev.txt - -o requirements/build.txt

lint: venv ## ruff, mypy (strict), import contract, approved dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy operator dev tests bench
	$(BIN)/lint-imports
	$(BIN)/python -m dev.dependencies

format: venv ## Format the code
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

parts: venv ## The control plane and Helm, built once and cached outside the tree
	@$(BIN)/python -m dev.controlplane build --helm

demo: venv parts ## The product among real parts, told as a story; stays up on a terminal until Ctrl-C
	@$(BIN)/python -m dev.demo

unit: venv ## Unit tests only: seconds
	$(BIN)/pytest -q -n 2 tests/unit

test: venv parts lint ## Everything: lint, unit, component and integration tests, coverage of the rules, a real node
	$(BIN)/pytest -n 3 --cov --cov-report= tests/unit tests/component
	$(BIN)/coverage report --fail-under=95 --skip-covered --include='*/domain/*'
	$(BIN)/coverage report --fail-under=95 --skip-covered --include='*/services/*'
	@$(BIN)/python -m tests.e2e.prepare
	$(BIN)/pytest -rs -n 6 --dist loadfile tests/simulation tests/integration tests/e2e

image: venv ## The operator's image, as an archive, and its size (needs buildah, and root)
	@$(BIN)/python -m dev.image build
	@$(BIN)/python -m dev.image report

e2e: venv parts ## The image, Helm and pods on a real node, where root can run one; CONTEXT=... names a cluster instead
	@test -n "$(CONTEXT)" || $(BIN)/python -m tests.e2e.prepare
	$(BIN)/pytest -rs -n 2 --dist loadfile tests/e2e

simulate: venv ## 100,000 random schedules of the refresh protocol, each held to its promises (about an hour)
	@$(BIN)/python -m tests.simulation --schedules 100000

bench: venv parts ## The figures of docs/performance.md (about 100 minutes)
	@$(BIN)/python -m bench

chaos: venv parts ## Two clusters, six operators, everything going wrong: the table of docs/reliability.md (20 minutes)
	@$(BIN)/python -m tests.chaos

cluster: venv ## A real cluster of one node on this machine (root); `make cluster-down` ends it
	@$(BIN)/python -m dev.node up

cluster-down: venv ## End it and leave nothing
	@$(BIN)/python -m dev.node down

clean: ## Remove what was built in the tree
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
