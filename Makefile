# make demo          environment, rendered streets, the whole chain, and a table of all models
# make test          environment and all tests
# make batch_sheets  what the network of the demo really sees: its first batches, as a picture
# make fault-tests   full disks, kills and torn files, for some ten minutes
# make cluster-tests a run on a Slurm of its own, through all that takes jobs away; needs root and Debian's Slurm;
#                    a run with S3 and in pods
# make docs          the site of the documentation, in the folder site
# make page-tests    the page of a run in a headless Chromium, which Debian's package `chromium` brings
# make audit         known flaws of the pinned packages; needs the network
# make mutation-test changes the code at 60 places, one at a time, and shows what the tests do not see
# make fuzz          damaged files of every format, and configurations that nobody would write; CASES=10000 of each
# make lint          formatters, linters and the type checker
PYTHON ?= python3
ENVIRONMENT := .venv
BIN := $(ENVIRONMENT)/bin
CASES ?= 10000
SEED ?= 0

.PHONY: demo batch_sheets test fault-tests cluster-tests page-tests fuzz mutation-test audit lint format docs environment clean-state

demo: $(BIN)/.ready
	$(BIN)/snakemake

batch_sheets: $(BIN)/.ready
	$(BIN)/snakemake batch_sheets

# A file of tests runs in one process: its tests share runs.
test: $(BIN)/.ready-development
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

mutation-test: $(BIN)/.ready-development
	$(BIN)/python -m tests.mutations

fault-tests: $(BIN)/.ready-development
	$(BIN)/python -m pytest -s tests/faults/*.py

cluster-tests: $(BIN)/.ready-development envs/requirements-cluster-tests.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements-cluster-tests.txt
	tests/cluster/one_node_slurm.sh $(BIN)/python -m pytest -s tests/cluster/*.py

page-tests: $(BIN)/.ready-development envs/requirements-page-tests.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements-page-tests.txt
	$(BIN)/python -m pytest -s tests/page/*.py

# In an environment of its own: it needs packages that the project does not.
audit:
	test -x .venv-audit/bin/pip-audit || { $(PYTHON) -m venv .venv-audit && .venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; }
	.venv-audit/bin/pip-audit --disable-pip --no-deps -r envs/requirements.txt

fuzz: $(BIN)/.ready-development
	$(BIN)/python -m tests.fuzz.run --cases $(CASES) --seed $(SEED)

lint: $(BIN)/.ready-development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint

format: $(BIN)/.ready-development
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile rules

# Strictly, and without the network once the packages are there.
docs: $(BIN)/.ready envs/requirements-docs.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements-docs.txt
	$(BIN)/python -m docs.site.build

environment: $(BIN)/.ready

# Gives back the disk of finished trainings; unfinished ones would start from the beginning.
clean-state:
	rm -rf state

$(BIN)/.ready: envs/requirements.txt
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"Python 3.11 or newer is needed, found {sys.version.split()[0]}: make PYTHON=python3.12 ..."'
	test -x $(BIN)/python || $(PYTHON) -m venv $(ENVIRONMENT)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements.txt
	touch $@

$(BIN)/.ready-development: $(BIN)/.ready envs/requirements-export.txt envs/requirements-docs.txt envs/requirements-development.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements-development.txt
	touch $@
