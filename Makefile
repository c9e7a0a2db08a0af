# Two commands: `make repro` runs the pipeline, `make test` runs the tests. Both set up .venv first.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$python && break; done)
BIN := .venv/bin
READY := .venv/.ready
PLAYWRIGHT := .venv/browser
MOTO := .venv/s3
MUTMUT := .venv/mutmut
JUPYTER := .venv/jupyter

# DVC and MLflow send no telemetry. Idle OpenMP threads sleep, so that other processes can use the cores.
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true
export OMP_WAIT_POLICY := PASSIVE

.PHONY: repro test slow gpu browser cluster s3 lab notebooks mutants torture bench setup plugin lint lock clean

repro: setup  ## images -> models -> metrics -> report.html
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/triptych repro

test: setup  ## run the tests that take less than 20 seconds each
	@$(PYTEST) $(ARGS)

slow: setup  ## run the tests that `make test` leaves out, because each takes 20 seconds or more
	@$(PYTEST) -m slow $(ARGS)

PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

browser: $(PLAYWRIGHT)/.ready  ## test the page and MLflow's interface in Chromium, with a tiny project or that of TRIPTYCH_PROJECT
	@PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH="$(CURDIR)/$(PLAYWRIGHT)" OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest tests/browser $(ARGS)

# Packages for these tests only, in a folder of their own.
$(PLAYWRIGHT)/.ready: $(READY) tests/browser/playwright.lock
	@$(BIN)/uv pip install --quiet --target $(PLAYWRIGHT) --require-hashes --no-deps -r tests/browser/playwright.lock
	@touch $@

cluster: setup  ## test jobs on a real SLURM with two nodes, with a tiny project or that of TRIPTYCH_PROJECT
	@PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/cluster $(ARGS)

s3: $(MOTO)/.ready  ## test a DVC remote on a local S3 server (moto)
	@PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH="$(CURDIR)/$(MOTO)" OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest tests/s3 $(ARGS)

$(MOTO)/.ready: $(READY) s3.lock tests/s3/moto.lock
	@$(BIN)/uv pip install --quiet --target $(MOTO) --require-hashes --no-deps -r s3.lock -r tests/s3/moto.lock
	@touch $@

lab: $(JUPYTER)/.ready  ## open the notebooks in JupyterLab, on this machine only
	@$(NOTEBOOKS) JUPYTERLAB_DIR="$(CURDIR)/$(JUPYTER)/share/jupyter/lab" $(BIN)/python -m jupyterlab notebooks \
		--LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdates $(ARGS)

notebooks: $(JUPYTER)/.ready  ## run the notebooks, with a tiny project or that of TRIPTYCH_PROJECT
	@$(NOTEBOOKS) OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/notebooks $(ARGS)

NOTEBOOKS = PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH="$(CURDIR)/$(JUPYTER)" \
	JUPYTER_PATH="$(CURDIR)/$(JUPYTER)/share/jupyter"

$(JUPYTER)/.ready: $(READY) tests/notebooks/jupyter.lock
	@$(BIN)/uv pip install --quiet --target $(JUPYTER) --require-hashes --no-deps -r tests/notebooks/jupyter.lock
	@touch $@

mutants: $(MUTMUT)/.ready  ## change the code at one point at a time, and show the changes that no test notices: hours
	@$(MUTATE) run $(ARGS)
	@$(MUTATE) results | sed -n 's/^ *\(.*\): survived$$/\1/p; s/^ *\(.*\): no tests$$/\1/p' | xargs -r -n 1 $(MUTATE) show

MUTATE = env PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH="$(CURDIR)/$(MUTMUT)" OMP_NUM_THREADS=1 \
	$(BIN)/python $(MUTMUT)/bin/mutmut

$(MUTMUT)/.ready: $(READY) tests/mutmut.lock
	@$(BIN)/uv pip install --quiet --target $(MUTMUT) --require-hashes --no-deps -r tests/mutmut.lock
	@touch $@

gpu: setup  ## run the tests that need a CUDA GPU
	@$(BIN)/python -m pytest -m gpu tests/test_gpu.py $(ARGS)

torture: setup  ## test kills, power cuts, failures of MLflow and invalid input: three quarters of an hour, one table
	@PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python tests/torture $(ARGS)

bench: setup  ## compare the speed with plain loops and hardware limits: half an hour, docs/speed.md
	@PATH="$(CURDIR)/$(BIN):$$PATH" env -u OMP_WAIT_POLICY $(BIN)/python benchmarks $(ARGS)

lint: setup  ## run ruff, check the format, and check the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports --no-cache

setup: $(READY)  ## make .venv with the exact versions of requirements.lock

$(READY): requirements.lock bootstrap.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Triptych needs Python 3.11, 3.12 or 3.13 with venv; set PYTHON=/path/to/python"; exit 1; }
	@echo "Setting up .venv: about 3 GB of packages on Linux the first time, minutes on a slow network"
	@echo "After the download, the installation takes about a minute, and prints nothing"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r bootstrap.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

plugin: setup  ## install DVC's plug-in for S3 remotes into .venv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r s3.lock

COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --upgrade --python-version 3.11

# Options of `uv pip compile` for packages that the given lock files do not contain.
BESIDE = $$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' $(1)) $(addprefix -c ,$(1))

lock:  ## resolve the newest versions that pyproject.toml allows
	@$(COMPILE) --group dev -o requirements.lock pyproject.toml
	@$(COMPILE) --group setup --no-deps -o bootstrap.lock
	@$(COMPILE) --group browser -c requirements.lock -o tests/browser/playwright.lock
	@sed -n 's/^s3 = \["\(.*\)"\]/\1/p' pyproject.toml | \
		$(COMPILE) $(call BESIDE,requirements.lock) -o s3.lock -
	@$(COMPILE) --group moto $(call BESIDE,requirements.lock s3.lock) -o tests/s3/moto.lock
	@$(COMPILE) --group mutants $(call BESIDE,requirements.lock) -o tests/mutmut.lock
	@$(COMPILE) --group notebooks $(call BESIDE,requirements.lock) -o tests/notebooks/jupyter.lock

clean:  ## remove the environment
	rm -rf .venv
