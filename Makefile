# make setup | tables | demo | test | test-all | lint | bench | bench-path | bench-long | bench-gpu | slurm | faults
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" snakemake

.PHONY: setup tables demo test test-all lint bench bench-path bench-long bench-gpu slurm faults
setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12) and "kc needs Python >= 3.12, found " + sys.version.split()[0] + ": set PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[workflow,dev]'
	touch $@

tables: setup
	$(RUN) --cores 2 --quiet rules
	@cat results/tables/*.md
	@echo "Tables (csv, md, tex, provenance in json): results/tables; figures: results/figures"

demo: setup
	$(RUN) stability orders --cores 2 --quiet rules --configfile workflow/presets/smoke.yaml --config results=results-demo 'stability={controls: none, repeats: 1}'
	@cat results-demo/tables/{table1,table2,networks}.md
	@echo "Tables: results-demo/tables; figures: results-demo/figures"

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q

# minutes: all but the tests marked long
test: setup
	$(PYTEST) -m "not long"

# half an hour: campaigns of kills and damages, whole runs of the workflow, real networks too
test-all: setup
	$(PYTEST)

faults: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.campaign --kills 200 --workflow 4 --damages 500

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# stores of the default preset that row 4 reads; made where they are not there
STORES := results/activations/birds-vgg16_bn-seed0.json results/activations/birds-vgg16_bn-seed1.json

bench: setup
	$(RUN) $(STORES) --cores 2 --quiet rules
	$(BIN)/python -m benchmarks

# minutes more: 'fast' against the reference search, on the default preset's teachers
bench-path: setup
	$(RUN) $(foreach network,alexnet vgg11,results/concepts/networks/animals-$(network)-teacher/card.json) --cores 2 --quiet rules
	$(BIN)/python -m benchmarks.entropy_path

# hours: finished fits against fits of ten times the steps, on four pairs
bench-long: setup
	$(RUN) stability --cores 2 --quiet rules
	$(BIN)/python -m benchmarks.long_fit

bench-gpu: setup
	$(BIN)/python -m benchmarks.gpu

# every target of the smoke preset (or TARGET=stability, in minutes) through a SLURM of one node
# (root; Debian's packages)
slurm: setup
	KC_SLURM=$(or $(TARGET),all) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -s tests/workflow/test_slurm.py
