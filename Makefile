# Two commands do everything on a machine that has only Python 3.11, pip and make:
#   make up      install what running needs, start relay, keeper and dashboard
#   make test    install what testing needs, run every test
# The environment is rebuilt only when a requirement file changed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
UV := .venv/tools/bin/uv
export PYTHONDONTWRITEBYTECODE :=
export UV_NO_PROGRESS := 1
# uv trusts what the machine trusts, a company proxy included.
export UV_SYSTEM_CERTS := 1

.PHONY: up demo test check lint format lock clean

up: .venv/runtime.stamp
	@$(BIN)/tollkeeper up

demo: .venv/runtime.stamp
	@$(BIN)/tollkeeper demo

test: .venv/dev.stamp
	@$(BIN)/python -m pytest -n auto

# What a change must pass before it is committed: `lint`, then every test with its coverage.
check: lint
	@rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n auto --cov --cov-report=
	$(BIN)/coverage report --fail-under=95
	$(BIN)/coverage report --include='$(PURE)' --fail-under=100

lint: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The pure core (no clock, no I/O): every branch of it is covered by tests.
PURE := service/usage/*,service/pricing/money.py,service/pricing/card.py,service/pricing/leaves.py,service/pricing/pricebook.py,service/pricing/rating.py,service/keys/token.py,service/relay/request.py,service/relay/members.py,service/relay/headers.py,service/relay/attribution.py,service/ledger/record.py,service/ledger/frames.py,service/upstream/provider.py,service/upstream/routing.py,service/upstream/target.py,service/budgets/windows.py,service/budgets/policy.py,service/budgets/leasing.py,service/budgets/estimate.py,service/budgets/model_limits.py,service/budgets/rates.py,service/budgets/answers.py,service/budgets/charges.py,service/budgets/slices.py,service/ledger/folding.py,service/reporting/percentiles.py,service/reporting/figures.py,service/reporting/forecast.py,service/reporting/movers.py,service/reporting/heatmap.py,service/alerts/rules.py,service/audit/chain.py,service/audit/actor.py,service/telemetry/names.py,service/telemetry/layout.py,service/telemetry/series.py,service/telemetry/prometheus.py,service/telemetry/trace_context.py,service/content/redact.py

format: .venv/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Rewrites the hash-locked requirement files from pyproject.toml.
lock: $(UV)
	$(UV) pip compile -q --universal --generate-hashes --no-header --python-version 3.11 --upgrade requirements/uv.in -o requirements/uv.txt
	$(UV) pip compile -q --universal --generate-hashes --no-header --python-version 3.11 --upgrade pyproject.toml -o requirements/runtime.txt
	$(UV) pip compile -q --universal --generate-hashes --no-header --python-version 3.11 --upgrade requirements/build.in -o requirements/build.txt
	$(UV) pip compile -q --universal --generate-hashes --no-header --python-version 3.11 --upgrade pyproject.toml --group dev -c requirements/runtime.txt -o requirements/dev.txt

clean:
	rm -rf .venv .tollkeeper .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*

$(UV): requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: no python3.11 or python3 on the PATH" >&2; exit 2; }
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-warn-script-location --root-user-action=ignore --upgrade --require-hashes -r $< --target .venv/tools
	@touch $@

$(BIN)/python: | $(UV)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv

.venv/runtime.stamp: requirements/runtime.txt requirements/build.txt pyproject.toml | $(BIN)/python
	@echo "Installing Tollkeeper into .venv"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements/dev.txt .venv/runtime.stamp
	@echo "Installing the test tools into .venv"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@
