#!/bin/sh
# Installs mosquitto_pub and mosquitto_sub, which the examples of docs/mqtt.md are, from Debian where
# they are missing. It is no broker and starts nothing. The first argument is the target that asks.
set -eu

command -v mosquitto_pub >/dev/null 2>&1 && command -v mosquitto_sub >/dev/null 2>&1 && exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
    echo "make ${1:-test-rust}: this needs mosquitto_pub and mosquitto_sub, so NOTHING was tested" \
        "(root on Debian installs them: apt-get install mosquitto-clients)" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends mosquitto-clients >/dev/null
