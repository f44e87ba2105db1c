# Everything a newcomer needs: `make demo` and `make test`. Each first sets up .venv, once.
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.agentevo-ready
BASE_PYTHON ?= python3

.PHONY: demo test check soak setup format bench clean

demo: setup
	@$(VENV)/bin/agentevo demo

test: setup
	$(PY) -m coverage erase
	$(PY) -m coverage run -m pytest -q -m "not soak"
	@$(PY) -m coverage combine -q && $(PY) -m coverage report

soak: setup
	AGENTEVO_SOAK=1 $(PY) -m pytest -q

check: setup
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy agentevo tests benchmarks/perf examples

format: setup
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt setup.sh
	@BASE_PYTHON="$(BASE_PYTHON)" bash setup.sh $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
