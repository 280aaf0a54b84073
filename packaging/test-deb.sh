#!/bin/sh
# What `make test-deb` runs: sh packaging/test-deb.sh PACKAGE ROOT. The package is installed with
# dpkg into a root of its own, whose database knows nothing else, and taken out of it again.
set -eu

package=$1
root=$2

fail() {
    echo "test-deb: $*" >&2
    exit 1
}

command -v dpkg >/dev/null 2>&1 || {
    echo "test-deb: dpkg is missing, so the package was built and NOT installed" >&2
    exit 0
}
# Files get owners when they are unpacked, which only root can do, or who seems to be.
if [ "$(id -u)" -eq 0 ]; then
    seeming_root=
elif command -v fakeroot >/dev/null 2>&1; then
    seeming_root=fakeroot
else
    fail "dpkg unpacks for root alone: install fakeroot, or run this as root"
fi

# The packages that it depends on are those of this system: the database of the new root has none.
in_root() {
    $seeming_root dpkg --root="$root" --force-not-root --force-depends --force-script-chrootless \
        "$@" >"$root/dpkg.log" 2>&1 || { cat "$root/dpkg.log" >&2; fail "dpkg $1"; }
}

rm -rf "$root"
# The package's scripts would start the service where systemd runs: of this machine, and not of the
# root.
mkdir -p "$root/stubs"
for command in systemctl deb-systemd-invoke; do
    printf '#!/bin/sh\necho "%s $*" >>"%s/invoked"\n' "$command" "$root" >"$root/stubs/$command"
    chmod 755 "$root/stubs/$command"
done
PATH=$root/stubs:$PATH
export PATH
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/data"
: >"$root/var/lib/dpkg/status"
in_root --install "$package"

program=$root/usr/bin/babelmq
config=$root/etc/babelmq/babelmq.toml
unit=$root/usr/lib/systemd/system/babelmq.service
for file in "$program" "$config" "$unit"; do
    [ -f "$file" ] || fail "$file was not installed"
done
# The service starts the program, with the configuration, where the package has put them.
grep -q '^ExecStart=/usr/bin/babelmq serve --config /etc/babelmq/babelmq.toml$' "$unit" ||
    fail "$unit starts something else"
dpkg-deb --info "$package" conffiles | grep -qx /etc/babelmq/babelmq.toml ||
    fail "the configuration is no conffile"

# The service is enabled, as Debian does it.
enabled=$root/etc/systemd/system/multi-user.target.wants/babelmq.service
if command -v deb-systemd-helper >/dev/null 2>&1; then
    [ -L "$enabled" ] || fail "the service is not enabled"
fi
if [ -d /run/systemd/system ]; then
    grep -q 'deb-systemd-invoke start babelmq.service' "$root/invoked" || fail "the service is not started"
fi

# The settings are changed where they stand, as an administrator does it.
sed -i "s|^listen = .*|listen = \"127.0.0.1:0\"|; s|^# data-dir =.*|data-dir = \"$root/data\"|" \
    "$config"
cp "$config" "$root/edited.toml"
"$program" serve --config "$config" --check >/dev/null

mkfifo "$root/said"
timeout 60 "$program" serve --config "$config" >"$root/said" 2>"$root/broker.log" &
broker=$!
trap 'kill "$broker" 2>/dev/null || true' EXIT
exec 3<"$root/said"
read -r line <&3 || { cat "$root/broker.log" >&2; fail "the broker ended before it listened"; }
address=${line#babelmq listening on }
[ "$address" != "$line" ] || fail "the broker said: $line"

timeout 30 "$program" pub --address "$address" /deb/value '{"celsius": 21.5}' --format json
got=$(timeout 30 "$program" get --address "$address" /deb/value --format xml)
wanted='<message type="dict"><celsius type="float">21.5</celsius></message>'
[ "$got" = "$wanted" ] || fail "got $got"

kill "$broker"
code=0
wait "$broker" || code=$?
trap - EXIT
[ "$code" -eq 0 ] || { cat "$root/broker.log" >&2; fail "the broker ended with $code"; }
[ -n "$(ls "$root/data")" ] || fail "the broker kept nothing in its data directory"

in_root --remove babelmq
[ ! -e "$program" ] || fail "$program is still there"
[ ! -e "$unit" ] || fail "$unit is still there"
cmp "$config" "$root/edited.toml" || fail "the configuration was not kept as it was edited"
in_root --purge babelmq
[ ! -e "$config" ] || fail "$config is still there after a purge"
[ ! -L "$enabled" ] || fail "the service is still enabled after a purge"
[ -n "$(ls "$root/data")" ] || fail "the data is gone"
echo "the package works: $(basename "$package"), installed, run, removed and purged"
