# Python 3.11 or newer and make are all that a fresh machine needs: uv is taken from PATH, or put into .tools/ (ignored by git).

.DEFAULT_GOAL := help
.PHONY: help demo test check coverage lint docs bench chart reference environment python

# The environment's own Python first, so that an existing .venv is kept; then the newest that works.
PYTHON ?= $(shell for python in .venv/bin/python python3.14 python3.13 python3.12 python3.11 python3; do \
  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$python; break; }; done)
# The release that is tried; the image has the same (compose/Dockerfile).
UV_VERSION = 0.13.9
UV ?= $(shell uv --version >/dev/null 2>&1 && command -v uv || echo .tools/bin/uv)
RUN := $(UV) run --frozen
LINTERS := ruff+check ruff+format+--check mypy lint-imports
.PHONY: $(LINTERS)

ifneq ($(PYTHON),)
export UV_PYTHON = $(PYTHON)
endif
export UV_PYTHON_DOWNLOADS = never
# Without it each of the hundreds of processes that the tests start would compile all its modules: 2 s of CPU a process.
unexport PYTHONDONTWRITEBYTECODE

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: environment ## Issue a certificate from a local test CA, step by step (KEEP=1 leaves it running)
	$(RUN) python -m compose.demo

# Four at once even on two cores: half of the tests' time is waiting. Files in the order of tests/conftest.py, slowest first.
test: lint ## Lint, types and floors, then every test
	$(RUN) pytest -n 4 --dist loadfile --no-loadscope-reorder

check: lint ## What needs no server: lint, types, floors, unit and house tests
	$(RUN) pytest -n 2 --dist worksteal tests/unit tests/house

# 96 % on 2026-11-29.
COVERAGE_PERCENT = 95

coverage: environment ## Print which lines and branches of certmill/ the tests run (not the processes that they start)
	$(RUN) pytest -n 4 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered \
	  --cov-fail-under=$(COVERAGE_PERCENT) tests/unit tests/ports tests/pipeline

# Side by side: mypy takes longer than the others together.
lint: environment ## ruff, mypy --strict and import-linter
	@$(MAKE) --no-print-directory -j 4 --output-sync=target $(LINTERS)

$(LINTERS):
	$(RUN) $(subst +, ,$@)


bench: environment ## Measure, print one table, write .bench/latest.json
	$(RUN) python -m tests.bench

chart: environment ## Render compose/kubernetes/certmill.yaml from the Helm chart
	$(RUN) python -m compose.render

docs: environment ## The documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(UV) run --frozen --only-group docs --isolated mkdocs build

reference: environment ## Write docs/settings.md and compose/env.example from certmill/settings.py
	$(RUN) python -m compose.reference

environment: python $(UV) ## The locked packages in .venv
	@$(UV) sync --frozen --quiet

python:
	@test -n "$(PYTHON)" || { echo "certmill needs Python 3.11 or newer: none of python3.14 … python3.11, python3 on PATH is. \
	Install one, or run make PYTHON=/path/to/python" >&2; exit 1; }

.tools/bin/uv: | python
	@echo "uv is not here: putting it into .tools/"
	@"$(PYTHON)" -m venv .tools 2>/dev/null && .tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) \
	|| { "$(PYTHON)" -m pip install --quiet --disable-pip-version-check --target .tools/uv uv==$(UV_VERSION) && mkdir -p .tools/bin && ln -sf ../uv/bin/uv .tools/bin/uv; } \
	|| { rm -rf .tools; echo "uv could not be installed: $(PYTHON) has neither venv nor pip, or there is no network. Install uv, then run make again" >&2; exit 1; }
