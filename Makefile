# Two commands matter: `make run-broker` runs the broker, `make test` passes the tests.
# Everything that a target needs beyond a Rust toolchain, Python 3 and the registries' clients, it installs itself:
# tools go to .tools, a Python environment to .venv.

CARGO ?= cargo
DENY_VERSION := 0.20.2
DENY := .tools/bin/cargo-deny
DEB_VERSION := 3.8.0
DEB := .tools/bin/cargo-deb
MATURIN_VERSION := 1.16.0
FUZZ_VERSION := 0.13.2
FUZZ := .tools/bin/cargo-fuzz
FUZZ_TARGETS ?= frame json xml pickle topic envelope translate users login http websocket segment mqtt
# Seconds for each target.
FUZZ_SECONDS ?= 30
PYTHON ?= python3
VENV := .venv
IN_VENV = $(abspath $(VENV))/bin
JS := clients/js
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)

KILLS ?= 200
FLIPS ?= 500
# A soak, in seconds; what its clients choose follows from the seed.
SECONDS ?= 600
SEED ?= 1
CLIENTS ?= 300
CONNECTIONS ?= 100000
ROUNDS ?= 20

.PHONY: run-broker demo first-build quick test test-rust test-python test-page test-js soak soak-store soak-streams soak-backbone model certs check fmt clippy features doc deny advisories budget amplification fuzz fuzz-replay bench bench-peers bench-tls bench-web bench-streams bench-mqtt bench-backbone attack install uninstall deb test-deb wheel test-wheel msrv clean

# One build serves these two and `cargo run --example`: the program and all examples, in the profile
# that `cargo run` takes by itself.
run-broker: first-build
	$(CARGO) run --locked -- serve

demo: first-build
	$(CARGO) run --locked --example demo

first-build:
	$(CARGO) build --locked --bins --examples

test: test-rust test-python test-page test-js

# The examples of docs/mqtt.md are run with Debian's mosquitto-clients, and topics are shared by a server of NATS from PyPI;
# both are installed where they are missing.
test-rust:
	sh clients/install-mosquitto-clients.sh test-rust
	PYTHON=$(PYTHON) sh clients/install-nats-server.sh test-rust
	$(CARGO) test --locked --workspace

# The Python middleware, and CPython as the judge of every translation. BABELMQ_JUDGE_VALUES says how many values. With
# another Python: make test-python PYTHON=python3.9 VENV=.venv/3.9
test-python: $(VENV)/installed
	$(CARGO) build --profile test --locked --bins --examples
	cd clients/python && $(IN_VENV)/ruff check .
	cd clients/python && if [ -x $(IN_VENV)/mypy ]; then $(IN_VENV)/mypy; else echo "no mypy for this Python"; fi
	cd clients/python && BABELMQ_BIN="$(TARGET)/debug/babelmq" $(IN_VENV)/python -m pytest

# The dashboard in Chromium, which is installed from Debian where it is missing. CHROMIUM names another one: make test-page
# CHROMIUM=/usr/bin/google-chrome
test-page:
	sh clients/install-chromium.sh test-page
	$(MAKE) $(PAGE_TESTS)
	$(CARGO) build --profile test --locked --bins --examples
	cd tests/page && BABELMQ_BIN="$(TARGET)/debug/babelmq" node --test

# npm is asked when the list of packages changes, and gives what the list says.
PAGE_TESTS := tests/page/node_modules/.package-lock.json
$(PAGE_TESTS): tests/page/package-lock.json
	cd tests/page && npm ci --no-audit --no-fund --silent
	touch $@

# The client in JavaScript, with Node.js and in Chromium, which is installed where it is missing, against the broker.
test-js:
	sh clients/install-chromium.sh test-js
	$(MAKE) $(JS_TESTS)
	$(CARGO) build --profile test --locked --bins
	cd $(JS) && npx --no-install prettier --check . && BABELMQ_BIN="$(TARGET)/debug/babelmq" npm test

JS_TESTS := $(JS)/node_modules/.package-lock.json
$(JS_TESTS): $(JS)/package-lock.json
	cd $(JS) && npm ci --no-audit --no-fund --silent
	touch $@

# Random clients around sober ones, clients in Rust and in Python that are cut off, and connections by the thousand:
# nothing is lost, and nothing is left over.
soak: $(VENV)/installed
	SOAK_PYTHON="$(IN_VENV)/python" SECONDS=$(SECONDS) SEED=$(SEED) CLIENTS=$(CLIENTS) CONNECTIONS=$(CONNECTIONS) \
		$(CARGO) test --release --locked --test alone -- --nocapture soak::

# The metadata of what is installed has the version, so a new version is installed anew. The pip
# that a Python brings along may be older than dependency groups.
PYPROJECT := clients/python/pyproject.toml

$(VENV)/installed: $(PYPROJECT) clients/python/src/babelmq/_version.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet 'pip>=25.1'
	$(VENV)/bin/python -m pip install --quiet -e ./clients/python \
		--group $(PYPROJECT):test --group $(PYPROJECT):lint
	touch $@

# Kills and flipped bytes, many more than in `make test`.
soak-store:
	KILLS=$(KILLS) FLIPS=$(FLIPS) SEED=$(SEED) $(CARGO) test --release --locked --test it -- --nocapture kill flipped

# Streams under 8 producers and 16 members, killed and cut off power so many times; a checker reads what they have seen.
soak-streams:
	KILLS=$(KILLS) SEED=$(SEED) $(CARGO) test --release --locked --test it -- --nocapture streams::kills streams::cuts

# Three brokers before three servers of NATS, under all that can happen to them, so many times over.
soak-backbone:
	PYTHON=$(PYTHON) sh clients/install-nats-server.sh soak-backbone
	ROUNDS=$(ROUNDS) SEED=$(SEED) $(CARGO) test --release --locked --test it -- --nocapture shared::cluster

# The broker's threads in many orders: MODEL_ITERATIONS says how many of each kind, MODEL_SEED repeats a run.
model:
	RUSTFLAGS="--cfg shuttle -D warnings" CARGO_PROFILE_TEST_OPT_LEVEL=1 $(CARGO) test --locked --quiet \
		--target-dir "$(TARGET)/model" --no-default-features --features broker --lib -- --nocapture \
		transport::model streams::state::model

# A private authority and certificates for a broker on this machine, to try TLS with; git does not see them.
certs: first-build
	"$(TARGET)/debug/babelmq" certs .certs $(CERTS_ARGS)

# What a change is held to while it is made, in less than a minute.
quick: fmt
	PYTHON=$(PYTHON) sh clients/install-nats-server.sh quick
	$(CARGO) clippy --locked --workspace --lib --bins -- -D warnings
	$(CARGO) test --locked --quiet --workspace --lib

check: fmt clippy features doc deny fuzz-replay test model budget test-wheel test-deb

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

# Each half stands alone: an embedder needs no client, a client no broker.
features:
	$(CARGO) clippy --locked --lib --no-default-features -- -D warnings
	$(CARGO) clippy --locked --lib --no-default-features --features broker -- -D warnings
	$(CARGO) clippy --locked --lib --no-default-features --features jetstream -- -D warnings
	$(CARGO) clippy --locked --lib --examples --no-default-features --features middleware -- -D warnings
	$(CARGO) clippy --locked --lib --examples --no-default-features --features tls -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

# Licences and sources of the dependencies, those for other systems too, and no version that has an advisory, as far as
# deny.toml lists them.
deny: $(DENY)
	$(CARGO) fetch --locked --quiet
	PATH="$(CURDIR)/.tools/bin:$$PATH" $(CARGO) deny --offline check licenses bans sources

# What is known today of the dependencies, of those of the fuzz targets and the benchmarks too: for machines that reach the
# database of RustSec. Where it cannot be reached, nothing is checked, and this fails.
advisories: $(DENY)
	@PATH="$(CURDIR)/.tools/bin:$$PATH" $(CARGO) deny fetch db || { \
		echo "make advisories: https://github.com/RustSec/advisory-db cannot be reached, so NOTHING was checked;" \
			"run it on a machine that reaches it (make deny checks the advisories that deny.toml lists)" >&2; \
		exit 1; }
	for folder in . fuzz bench; do \
		PATH="$(CURDIR)/.tools/bin:$$PATH" $(CARGO) deny --locked --config deny.toml \
			--manifest-path $$folder/Cargo.toml check advisories || exit 1; \
	done

$(DENY):
	$(CARGO) install cargo-deny --locked --version $(DENY_VERSION) --root .tools

# The instructions that a message may cost, counted by valgrind; UPDATE=1 writes what is measured into the budget.
budget:
	sh benches/install-valgrind.sh
	$(CARGO) bench --locked --no-default-features --features broker --profile budget --bench budget -- \
		$(if $(UPDATE),update,check)

# What a byte that was sent can cost: docs/performance/amplification.md.
amplification:
	$(CARGO) bench --locked --no-default-features --features broker --profile budget --bench amplification -- --write

# Every target for FUZZ_SECONDS, from the corpus that is checked in. Inputs that reach something new are kept in
# fuzz/found, one that breaks something in fuzz/artifacts. No sanitizer: they want a nightly compiler, and the broker has
# no unsafe code. It takes a C++ compiler.
fuzz: $(FUZZ)
	for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/found/$$target; \
		PATH="$(CURDIR)/.tools/bin:$$PATH" $(CARGO) fuzz run --sanitizer none --features libfuzzer $$target \
			fuzz/found/$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096 \
			-timeout=10 -print_final_stats=1 || exit 1; \
	done

# The targets compile, and their corpora and the hostile inputs pass, without libFuzzer.
fuzz-replay:
	cd fuzz && $(CARGO) fmt --check
	cd fuzz && $(CARGO) clippy --locked --workspace --all-targets --features targets -- -D warnings
	cd fuzz && $(CARGO) test --locked --workspace

$(FUZZ):
	$(CARGO) install cargo-fuzz --locked --version $(FUZZ_VERSION) --root .tools

# The codecs and a broker end to end, and then the Python middleware beside redis-py and nats-py.
bench: $(VENV)/bench-installed
	$(CARGO) bench --locked
	sh bench/install-peers.sh
	$(CARGO) build --release --locked
	$(IN_VENV)/python clients/python/bench/one_to_one.py \
		--babelmq "$(TARGET)/release/babelmq" --out docs/performance/python.md $(BENCH_ARGS)

$(VENV)/bench-installed: $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet --group $(PYPROJECT):bench
	touch $@

# Beside NATS, Redis, Mosquitto and CPython, which it installs from Debian and PyPI where they are missing.
bench-peers:
	sh bench/install-peers.sh
	$(CARGO) build --release --locked
	$(CARGO) run --release --locked --manifest-path bench/Cargo.toml -- peers \
		--babelmq "$(TARGET)/release/babelmq" --out docs/performance $(BENCH_ARGS)

# The same with TLS, and what users cost; ten minutes.
bench-tls:
	$(MAKE) bench-peers BENCH_ARGS="--only tls,users $(BENCH_ARGS)"

# WebSocket beside NATS's and beside plain TCP, and requests of HTTP; five minutes.
bench-web:
	$(MAKE) bench-peers BENCH_ARGS="--only web $(BENCH_ARGS)"

# Messages that are kept, beside JetStream, Redis Streams and beanstalkd; a quarter of an hour, and 12 GiB of disk.
bench-streams:
	$(MAKE) bench-peers BENCH_ARGS="--only streams $(BENCH_ARGS)"

# MQTT beside Mosquitto and NATS, and translations to and from it; ten minutes. It needs 10,100 file descriptors.
bench-mqtt:
	$(MAKE) bench-peers BENCH_ARGS="--only mqtt $(BENCH_ARGS)"

# Shared topics beside clients of JetStream, before one server and before three; seven minutes.
bench-backbone:
	sh bench/install-peers.sh
	$(CARGO) build --release --locked
	for servers in 1 3; do \
		$(CARGO) run --release --locked --manifest-path bench/Cargo.toml -- backbone \
			--babelmq "$(TARGET)/release/babelmq" --servers $$servers $(BENCH_ARGS) || exit 1; \
	done

# Attacks beside a bystander; `ATTACK_ARGS="--only walks --seconds 10"` chooses.
attack:
	$(CARGO) build --release --locked
	$(CARGO) run --release --locked --manifest-path bench/Cargo.toml -- attack \
		--babelmq "$(TARGET)/release/babelmq" --serve-args "--memory 512MiB" --most 576 --rate 200 \
		--out docs/performance/attack.md $(ATTACK_ARGS)

# The command, its manual page, the shells' completion, the service and a configuration to begin with. `make install
# PREFIX=$HOME/.local SYSCONFDIR=$HOME/.config` needs no privileges; packagers set DESTDIR.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
BABELMQ ?= $(TARGET)/release/babelmq
INSTALLED := $(DESTDIR)$(PREFIX)/bin/babelmq \
	$(DESTDIR)$(PREFIX)/share/man/man1/babelmq.1 \
	$(DESTDIR)$(PREFIX)/share/bash-completion/completions/babelmq \
	$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_babelmq \
	$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/babelmq.fish \
	$(DESTDIR)$(PREFIX)/lib/systemd/system/babelmq.service

$(TARGET)/release/babelmq:
	$(CARGO) build --release --locked

install: $(BABELMQ)
	install -d $(dir $(INSTALLED)) $(DESTDIR)$(SYSCONFDIR)/babelmq
	install -m 755 $(BABELMQ) $(DESTDIR)$(PREFIX)/bin/babelmq
	$(BABELMQ) manual > $(DESTDIR)$(PREFIX)/share/man/man1/babelmq.1
	$(BABELMQ) completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/babelmq
	$(BABELMQ) completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_babelmq
	$(BABELMQ) completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/babelmq.fish
	sed 's|/usr/bin/|$(PREFIX)/bin/|; s|/etc/babelmq/|$(SYSCONFDIR)/babelmq/|' packaging/babelmq.service \
		> $(DESTDIR)$(PREFIX)/lib/systemd/system/babelmq.service
	chmod 644 $(filter-out %/bin/babelmq,$(INSTALLED))
	test -e $(DESTDIR)$(SYSCONFDIR)/babelmq/babelmq.toml \
		|| install -m 644 packaging/babelmq.toml $(DESTDIR)$(SYSCONFDIR)/babelmq/babelmq.toml

uninstall:
	rm -f $(INSTALLED)

# A Debian package in target/debian. Its copy of the program is stripped, the one in target/release
# is not.
deb: $(DEB)
	$(CARGO) build --release --locked
	mkdir -p "$(TARGET)/release/share"
	"$(TARGET)/release/babelmq" manual > "$(TARGET)/release/share/babelmq.1"
	"$(TARGET)/release/babelmq" completions bash > "$(TARGET)/release/share/babelmq.bash"
	"$(TARGET)/release/babelmq" completions zsh > "$(TARGET)/release/share/_babelmq"
	"$(TARGET)/release/babelmq" completions fish > "$(TARGET)/release/share/babelmq.fish"
	rm -f "$(TARGET)"/debian/babelmq_*.deb
	PATH="$(CURDIR)/.tools/bin:$$PATH" $(CARGO) deb --no-build --strip

$(DEB):
	$(CARGO) install cargo-deb --locked --version $(DEB_VERSION) --root .tools

# The package is installed into a root of its own, run there, and removed.
test-deb: deb
	sh packaging/test-deb.sh "$(TARGET)"/debian/babelmq_*.deb "$(TARGET)/test-deb"

# Two wheels in target/wheels: the broker for this kind of machine, and the client in Python.
wheel: $(VENV)/maturin-$(MATURIN_VERSION)
	rm -f "$(TARGET)"/wheels/babelmq*.whl
	cd packaging/wheel && CARGO_TARGET_DIR="$(TARGET)" $(IN_VENV)/maturin build --release \
		--out "$(TARGET)/wheels"
	$(VENV)/bin/python -m build --no-isolation --wheel --outdir "$(TARGET)/wheels" clients/python

# The version is in the name of the stamp, so another one is installed when this one changes.
$(VENV)/maturin-$(MATURIN_VERSION): $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet maturin==$(MATURIN_VERSION)
	touch $@

# The wheels are all that an empty environment gets, and no index is asked.
test-wheel: wheel
	$(PYTHON) -m venv --clear "$(TARGET)/test-wheel"
	"$(TARGET)/test-wheel/bin/python" -m pip install --quiet --no-index \
		--find-links "$(TARGET)/wheels" babelmq babelmq-server
	"$(TARGET)/test-wheel/bin/python" -I packaging/test_wheel.py

# The oldest compiler that Cargo.toml promises. It is no part of check, because CI has one compiler.
MSRV := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
msrv:
	@rustup run $(MSRV) rustc --version 2>/dev/null || { \
		echo "make msrv: rustup has no toolchain $(MSRV), the rust-version of Cargo.toml, so NOTHING" \
			"was built; install it with: rustup toolchain install $(MSRV) --profile minimal" >&2; \
		exit 1; }
	rustup run $(MSRV) cargo build --locked --workspace --target-dir "$(TARGET)/msrv"
	rustup run $(MSRV) cargo build --locked --lib --no-default-features --features middleware \
		--target-dir "$(TARGET)/msrv"

clean:
	$(CARGO) clean
	rm -rf .tools $(VENV) fuzz/target fuzz/found tests/page/node_modules $(JS)/node_modules
