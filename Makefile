# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
# PYTHON: an interpreter of version 3.11 or newer. PIP_EXTRA: more words for pip, such as an index of CPU builds of torch (see README).
PYTHON ?= python3
PIP_EXTRA ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
# JOBS: how many processes run the tests.
JOBS ?= 2
DEMO_STORE ?= runs/phase_transition

.PHONY: bench demo gallery test lint site tutorials wheel-check licences install clean

demo: install
	$(BIN)/denoscope run phase_transition --store $(DEMO_STORE)
	@echo "The report is $(DEMO_STORE)/report.html: open it in a browser."

# The linters are tests too, so that they run beside the others and one closing line counts all.
test: install
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder tests .ci/lint.py

lint: install
	$(BIN)/python -m pytest .ci/lint.py

# The pages of docs, the README and every public docstring, as build/site/index.html.
site: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "The site is build/site/index.html: open it in a browser."

# Runs the notebooks of docs/tutorials and writes what they print and draw into them.
tutorials: install
	$(BIN)/python .ci/tutorials.py

# Builds the wheel and audits a folder with it in fresh environments, minimal and full, of each Python that is found.
wheel-check: install
	$(BIN)/python .ci/wheel_check.py --pip='$(PIP_EXTRA)'

# The licences of all that is needed to run, by what the packages say.
licences: install
	$(BIN)/python .ci/licences.py

# Each figure of the article and of the slides by one command, ours beside the original, as docs/gallery.md.
gallery: install
	$(BIN)/python .ci/gallery.py --run runs/gallery

# Every benchmark that has a rival, as a table in benchmarks/README.md; QUICK=1 takes smaller sizes.
bench: install
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/table.py $(if $(QUICK),--quick)

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("denoscope needs Python 3.11 or newer, PYTHON=%s is %s" % ("$(PYTHON)", sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_EXTRA) -c constraints.txt -e '.[data,dev,docs]'
	rm -f $(VENV)/.installed-*
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
