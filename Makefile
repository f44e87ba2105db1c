# Two commands: `make demo` and `make test`. Each first sets up .venv, once.
VENV := .venv
PY := $(VENV)/bin/python
BASE_PYTHON ?=
HOME_FOLDER := $(or $(AGENTEVO_HOME),$(HOME)/.agentevo)

.PHONY: setup demo test check soak format bench clean

setup: $(VENV)/.installed
	@test -e "$(HOME_FOLDER)/models/smollm2-135m/card.json" -a -e "$(HOME_FOLDER)/embedders/all-MiniLM-L6-v2/card.json" || \
	{ echo "setup 3/3: offline model and embedder into $(HOME_FOLDER) (176 MB)"; \
	  $(VENV)/bin/agentevo models pull smollm2-135m all-MiniLM-L6-v2; }

# .installing marks packages that may be half written: an environment that was left in that state is made anew.
$(VENV)/.installed: pyproject.toml constraints.txt
	@if test -e $(VENV)/.installing || ! $(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then rm -rf $(VENV); $(find_python); $(create); fi
	@echo "setup 2/3: packages, from your package index (2.1 GB unpacked; minutes)"
	@touch $(VENV)/.installing
	@$(with_uv) || $(PY) -m pip install -qq -c constraints.txt -e '.[dev]'
	@rm $(VENV)/.installing
	@touch $@

# Called by name only to ask for its version: some launchers (pyenv's) exist without the Python behind them.
define find_python
for python in $(BASE_PYTHON) python3.13 python3.12 python3.11 python3; do \
  "$$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; \
done; \
test -n "$$python" || { echo "error: no Python 3.11 or newer was found; install one, or name it: make BASE_PYTHON=/path/to/python setup" >&2; exit 1; }
endef

define create
echo "setup 1/3: $(VENV) with $$("$$python" --version)"; \
if command -v uv >/dev/null && uv venv -q --seed --python "$$("$$python" -c 'import sys; print(sys.executable)')" $(VENV); then :; \
else rm -rf $(VENV); "$$python" -m venv $(VENV) || \
  { echo "error: $$python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; fi
endef

# uv reads neither pip's extra folders of wheels nor its indexes, so it is told; where it still cannot resolve, pip can.
define with_uv
{ command -v uv >/dev/null && \
  ask() { $(PY) -m pip config get global.$$1 2>/dev/null | tr -s ' \n' "$$2" | sed "s/$$2$$//"; } && \
  UV_FIND_LINKS="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-$$(ask find-links ,)}}" \
  UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$(ask index-url ' ')}}" \
  UV_INDEX="$${UV_INDEX:-$${PIP_EXTRA_INDEX_URL:-$$(ask extra-index-url ' ')}}" \
  UV_INDEX_STRATEGY=unsafe-best-match uv pip install -q --python $(PY) -c constraints.txt -e '.[dev]'; }
endef

demo: setup
	@$(VENV)/bin/agentevo demo

test: setup
	$(PY) -m pytest -q -m "not soak" -n logical --maxprocesses 4 --dist loadfile --cov --cov-report term-missing:skip-covered --durations 25 --durations-min 2

soak: setup
	AGENTEVO_SOAK=1 $(PY) -m pytest -q

check: setup
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy agentevo tests benchmarks/peers benchmarks/perf benchmarks/quality examples

format: setup
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: setup
	@for script in benchmarks/perf/*.py; do echo "$$script"; $(PY) $$script || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
