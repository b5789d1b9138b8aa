# make              environment, data, the default grid, tables, verdicts, figures, results/report.html
# make smoke        the same path in about a minute, on data that need no download
# make test         environment, data, all tests
# make test-faults  hours: killed 50 times, every kind of file damaged, 66,000 bad inputs, other machines' settings; counts them at the end
# make test-slurm   minutes: the smoke profile on a Slurm of two nodes on this machine (root; installs Debian's packages where they are not there)
# make test-browser minutes: the report in a real browser (installs Debian's Chromium where apt-get can)
# make bench        half an hour: speed, side by side with a plain loop, a process a cell, scikit-learn and JAX: docs/performance.md
# make test-wheel   ten minutes: a wheel is built, installed where there is no clone, and runs a new project and the smoke profile
# make docs         a minute: the documentation as a site, in docs/_build
# make links        does every link of the documentation lead somewhere? (takes a network)
# make graph        draws the graph of the rules in README.md
# make mutants      half an hour: which mistakes in the formulas do the tests notice?

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: all test smoke data docs links lint mutants test-faults test-slurm test-browser test-wheel bench graph clean

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
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test-faults: data
	WDBENCH_FUZZ=10 WDBENCH_KILLS=50 $(BIN)/python -m pytest -n auto --dist loadfile tests/faults

test-slurm: $(STAMP)
	-tests/slurm/cluster.sh install
	WDBENCH_SLURM=1 $(BIN)/python -m pytest tests/slurm

test-wheel: $(STAMP)
	WDBENCH_WHEEL=1 $(BIN)/python -m pytest tests/test_wheel.py

docs: $(STAMP)
	$(BIN)/python -m sphinx -W --keep-going -n -q docs docs/_build
	@echo "documentation: docs/_build/index.html"

# follows every link of the documentation that leaves it, which takes a network
links: $(STAMP)
	$(BIN)/python -m sphinx -b linkcheck -q docs docs/_build/links

graph: $(STAMP)
	$(BIN)/python tests/rulegraph.py

# with results/report.html, where there is one, beside a page from planted tables
test-browser: $(STAMP)
	-command -v chromium > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } > /dev/null
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e .[browser]
	WDBENCH_BROWSER=1 $(BIN)/python -m pytest -rs tests/browser

# JAX and benchopt, where they are wanted beside: .venv/bin/python -m pip install .[bench]; then also
# PYTHONPATH=. .venv/bin/benchopt run benchmarks/benchopt; and after `make` from nothing: .venv/bin/python -m benchmarks.default
bench: $(STAMP)
	$(BIN)/python -m benchmarks.compare
	$(BIN)/python -m benchmarks.exact
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.workflow
	$(BIN)/python -m benchmarks.page

lint: $(STAMP)
	$(BIN)/ruff check wdbench tests benchmarks
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile wdbench/starter/Snakefile examples/module/Snakefile

# plants mistakes in the formulas, one at a time, and tells which of them the tests notice: docs/mutants.md
mutants: data
	$(BIN)/python benchmarks/mutants.py

# torch first and pinned, so that no other requirement pulls in a build with CUDA
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

clean:
	rm -rf .venv .snakemake results/store results/packs results/oracle
