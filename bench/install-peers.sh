#!/bin/sh
# Installs the brokers that the benchmark compares with, from Debian, where they are missing. Starts no service: while
# the packages are installed, a policy-rc.d forbids it. What cannot be installed is reported as absent by the benchmark.
set -eu

missing=
for peer in nats-server redis-server mosquitto; do
    command -v "$peer" >/dev/null 2>&1 || [ -x "/usr/sbin/$peer" ] || missing="$missing $peer"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
    echo "install-peers: as root on Debian this would install:$missing; the benchmark goes on without" >&2
    exit 0
fi

policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
for peer in $missing; do
    apt-get install -y -qq --no-install-recommends "$peer" >/dev/null ||
        echo "install-peers: $peer could not be installed; the benchmark goes on without" >&2
done
