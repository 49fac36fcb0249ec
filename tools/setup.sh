#!/usr/bin/env bash
# Make .venv with everything that mopflow and its tests need, and see that there is a Chromium.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
as_root() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

python_311() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer found; install one (Debian: apt-get install python3 python3-venv), or uv"
}

environment() {
    if command -v uv >/dev/null; then
        say "making .venv with uv"
        [ -x .venv/bin/python ] || uv venv --quiet --python '>=3.11' .venv
        uv pip install --quiet --python .venv/bin/python --editable '.[dev]'
        return
    fi
    local python
    python=$(python_311)
    if ! [ -x .venv/bin/pip ]; then
        say "making .venv with $python"
        if ! "$python" -m venv .venv; then
            as_root || fail "$python cannot make virtual environments; install the package python3-venv"
            rm -rf .venv
            apt-get install -y --no-install-recommends python3-venv >&2
            "$python" -m venv .venv
        fi
    fi
    say "installing packages into .venv (some minutes the first time)"
    .venv/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]'
}

chromium() {
    .venv/bin/python - <<'PYTHON'
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from mopflow.console.chromium import find
from mopflow.errors import BadInput

with sync_playwright() as playwright:
    own = Path(playwright.chromium.executable_path)
try:
    print(find(None, own))
except BadInput:
    sys.exit(1)
PYTHON
}

browser() {
    local found
    if found=$(chromium); then
        say "Chromium: $found"
        return
    fi
    say "no Chromium found, asking Playwright for its own"
    if .venv/bin/playwright install chromium >&2 && found=$(chromium); then
        say "Chromium: $found"
        return
    fi
    as_root || fail "no Chromium: install your distribution's package (Debian: apt-get install chromium)"
    say "installing Debian's package chromium"
    apt-get update >&2 && apt-get install -y --no-install-recommends chromium >&2
    found=$(chromium) || fail "Debian's chromium is installed and cannot be found"
    say "Chromium: $found"
}

environment
browser
say "ready"
