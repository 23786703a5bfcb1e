# make setup | tables | demo | setup-dev | test | test-all | test-minimum | lint | docs | faults | slurm
#      bench | bench-path | bench-long | bench-gpu
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" snakemake
INSTALL := $(BIN)/pip install --quiet --constraint constraints.txt
# TORCH=cpu: builds of PyTorch without CUDA, from an index that pip knows (docs/installing.md)
ifeq ($(TORCH),cpu)
TORCH_BUILDS := $(shell sed -n 's/^\(torch\|torchvision\)==[0-9.]*$$/&+cpu/p' constraints.txt)
endif

.PHONY: setup setup-dev tables demo test test-all test-minimum lint docs faults slurm \
	bench bench-path bench-long bench-gpu

# what running needs
setup: .venv/ready

# also what the tests, the style and the documentation need
setup-dev: .venv/ready-dev

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12) and "kc needs Python >= 3.12, found " + sys.version.split()[0] + ": set PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable '.[workflow,download]' $(TORCH_BUILDS)
	touch $@

.venv/ready-dev: .venv/ready
	$(INSTALL) --editable '.[dev,docs]'
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
test: setup-dev
	$(PYTEST) -m "not long"

# half an hour: campaigns of kills and damages, whole runs of the workflow, real networks too
test-all: setup-dev
	$(PYTEST)

# the documentation as a site: build/site/index.html
docs: setup-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# the tests with the oldest versions that pyproject.toml allows, in .venv-minimum
test-minimum: setup-dev
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-minimum
	$(BIN)/uv pip install --quiet --resolution lowest-direct --python .venv-minimum/bin/python --editable '.[dev]'
	OMP_NUM_THREADS=1 .venv-minimum/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q -m "not long"

faults: setup-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.campaign --kills 200 --workflow 4 --damages 500

lint: setup-dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# stores of the default preset that row 4 reads; made where they are not there
STORES := results/activations/birds-vgg16_bn-seed0.json results/activations/birds-vgg16_bn-seed1.json

bench: setup-dev
	$(RUN) $(STORES) --cores 2 --quiet rules
	$(BIN)/python -m benchmarks

# minutes more: 'fast' against the reference search, on the default preset's teachers
bench-path: setup-dev
	$(RUN) $(foreach network,alexnet vgg11,results/concepts/networks/animals-$(network)-teacher/card.json) --cores 2 --quiet rules
	$(BIN)/python -m benchmarks.entropy_path

# hours: finished fits against fits of ten times the steps, on four pairs
bench-long: setup-dev
	$(RUN) stability --cores 2 --quiet rules
	$(BIN)/python -m benchmarks.long_fit

bench-gpu: setup-dev
	$(BIN)/python -m benchmarks.gpu

# every target of the smoke preset (or TARGET=stability, in minutes) through a SLURM of one node
# (root; Debian's packages)
slurm: setup-dev
	KC_SLURM=$(or $(TARGET),all) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -s tests/workflow/test_slurm.py
