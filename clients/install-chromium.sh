#!/bin/sh
# Installs what tests in a browser need and npm does not bring, where it is missing: Chromium, from
# Debian. Node.js and npm have to be there, for Debian's may be older than the tests want.
# CHROMIUM, the path of one, stands in for it. The first argument is the target that asks.
set -eu

needs() {
    echo "make $1: this needs $2, so NOTHING was tested" >&2
    exit 1
}

target=${1:-test-js}
major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')
[ "${major:-0}" -ge 20 ] && command -v npm >/dev/null 2>&1 ||
    needs "$target" "Node.js 20 or later with npm"
if [ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null 2>&1; then
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
    needs "$target" "chromium (root on Debian installs it; CHROMIUM says where another one is)"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends chromium >/dev/null
