.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SWEEP ?= sweeps/bottleneck.yaml
SEARCH ?= sweeps/search_warmup.yaml
MINUTES ?= 20
SWEEPS := sweeps/bottleneck.yaml sweeps/bottleneck_fashion.yaml sweeps/expressiveness.yaml sweeps/entropy.yaml sweeps/remedies.yaml sweeps/animation.yaml sweeps/smoke.yaml

.PHONY: help setup run test test-faults soak lint format check check-all figures report ui search notebooks docs pictures bench bench-peers bench-gpu study reproduction constraints clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(READY) ## make .venv with everything that mimsweep needs

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) with torch and all else, 7 GB on disk, most of it for GPUs: some minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: $(READY) ## train a sweep and draw its curves (SWEEP=sweeps/smoke.yaml for one minute)
	$(BIN)/mimsweep run "$(SWEEP)"
	$(BIN)/mimsweep figures "$(SWEEP)"
	@echo "Figures are in figures/. 'make ui' opens MLflow on the runs, 'make report' writes one page of all."

test: $(READY) ## run the quick tests
	$(BIN)/python -m pytest -n auto

test-faults: $(READY) ## inject each kind of fault into a real sweep
	$(BIN)/python -m pytest tests/test_faults.py -m slow

soak: $(READY) ## inject faults at random (MINUTES=20)
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

lint: $(READY) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks/*.py
	$(BIN)/mypy docs/conf.py docs/site/*.py

format: $(READY) ## let ruff fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint test ## what CI runs: lint, the quick tests, three kinds of fault
	$(BIN)/python -m pytest tests/test_faults.py -m "slow and not long"

check-all: lint ## lint and all tests but those that need a GPU: Ray, Slurm, PostgreSQL, chromium, faults, docs
	$(BIN)/python -m pytest -n auto --dist loadgroup -m "not gpu"

figures: $(READY) ## draw every sweep that has complete runs: curves, latent pictures, the animation
	$(BIN)/mimsweep figures --latent $(SWEEPS)

report: $(READY) ## write reports/report.html on every sweep that is in the store
	$(BIN)/mimsweep report $(SWEEPS)

ui: $(READY) ## open MLflow's pages at http://127.0.0.1:5000
	$(BIN)/mimsweep ui

search: $(READY) ## search the best warm-up (SEARCH=sweeps/search_warmup.yaml)
	$(BIN)/mimsweep search "$(SEARCH)"

notebooks: $(READY) ## run the notebooks of docs/notebooks, and store what their cells print
	$(BIN)/python -m tests.notebooks

docs: $(READY) ## build the documentation as a site in build/site/, strictly
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site
	@echo "The site is build/site/index.html."

pictures: $(READY) ## train what docs/pictures shows, draw it, record a session: 10 minutes
	PATH="$(CURDIR)/$(BIN):$$PATH" bash docs/site/pictures.sh

bench: $(READY) ## measure steps, shares of a run's time, measures, scaling, a plain loop: 15 minutes
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/shares.py
	$(BIN)/python benchmarks/ksg_cost.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/large_store.py
	$(BIN)/python benchmarks/cohort_cost.py
	$(BIN)/python benchmarks/own_loss.py
	$(BIN)/python benchmarks/own_network.py

bench-peers: $(READY) ## measure an epoch against JAX, in an environment of its own, and torch.func: 20 minutes
	test -x build/jax/bin/python || { python3 -m venv build/jax && build/jax/bin/pip install --quiet jax==0.10.2; }
	$(BIN)/python benchmarks/peers.py --jax build/jax/bin/python --wide

bench-gpu: $(READY) ## measure steps on a GPU, then the study's 720 runs on it
	$(BIN)/python benchmarks/step.py --device cuda --runs 1 10 100 1000
	rm -rf build/study-gpu
	$(BIN)/python benchmarks/study.py --folder build/study-gpu --device cuda

study: $(READY) ## train the study's 720 toy runs from nothing to figures, tell the cost; 200 more, compare
	rm -rf build/study
	$(BIN)/python benchmarks/study.py --folder build/study
	$(BIN)/mimsweep run sweeps/bottleneck_fashion_study.yaml --tracking-uri sqlite:///build/study/mlflow.db
	$(MAKE) reproduction MLFLOW_TRACKING_URI=sqlite:///build/study/mlflow.db

reproduction: $(READY) ## compare our figures with the published ones
	@mkdir -p build
	$(BIN)/mimsweep results sweeps/expressiveness.yaml --output build/expressiveness.csv
	$(BIN)/mimsweep results sweeps/bottleneck.yaml --output build/bottleneck.csv
	$(BIN)/mimsweep results sweeps/bottleneck_fashion.yaml --output build/bottleneck_fashion.csv
	$(BIN)/mimsweep results sweeps/bottleneck_fashion_study.yaml --output build/bottleneck_fashion_study.csv
	$(BIN)/python benchmarks/reproduction.py build/expressiveness.csv build/bottleneck.csv \
		build/bottleneck_fashion.csv build/bottleneck_fashion_study.csv

constraints: $(READY) ## pin again what .venv holds
	@{ sed -n '/^#/p' constraints.txt; $(BIN)/pip freeze --exclude-editable | grep -vE '^(nvidia-|cuda-|triton)'; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## remove .venv and caches; runs, figures and data stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
