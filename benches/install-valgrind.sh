#!/bin/sh
# Installs valgrind, which counts the instructions of `make budget`, from Debian where it is missing.
set -eu

command -v valgrind >/dev/null 2>&1 && exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
    echo "install-valgrind: valgrind is missing, and only root on Debian can be helped; install it and try again" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends valgrind >/dev/null
