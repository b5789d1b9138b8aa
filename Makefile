# make        environment, data, the default grid, tables, verdicts, figures, results/report.html
# make test   environment, data, all tests
# make smoke  the same path in about a minute, on data that need no download

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: all test smoke data lint clean

all: data
	$(BIN)/snakemake --cores all
	$(BIN)/python -m wdbench show claims
	@echo "report: results/report.html"

smoke: $(STAMP)
	$(BIN)/snakemake --cores all --config profile=smoke
	$(BIN)/python -m wdbench --profile smoke show claims

# a set that cannot be had is reported as unavailable; the run goes on without it
data: $(STAMP)
	-$(BIN)/python -m wdbench data fetch

test: data
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check wdbench tests
	$(BIN)/lint-imports

# torch first and pinned, so that no other requirement pulls in a build with CUDA
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

clean:
	rm -rf .venv .snakemake results/store results/packs results/oracle
