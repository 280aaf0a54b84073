#!/bin/sh
# Installs what the tests of the page need beside this folder, where it is missing: Node.js, npm and
# Chromium, from Debian.
set -eu

missing=
command -v node >/dev/null 2>&1 || missing="$missing nodejs"
command -v npm >/dev/null 2>&1 || missing="$missing npm"
[ -n "${CHROMIUM:-}" ] || command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
    echo "make test-page: this needs$missing, so NOTHING was tested; root on Debian installs them" \
        "by itself, and CHROMIUM says where another Chromium is" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
