# Two commands matter: `make run-broker` runs the broker, `make test` passes the tests.
# Everything that a target needs beyond a Rust toolchain, Python 3 and the registries' clients, it installs itself:
# tools go to .tools, a Python environment to .venv.

CARGO ?= cargo
DENY_VERSION := 0.20.2
DENY := .tools/bin/cargo-deny
PYTHON ?= python3
VENV := .venv
IN_VENV = $(abspath $(VENV))/bin
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)

.PHONY: run-broker demo test test-rust test-python model check fmt clippy features doc deny bench bench-peers clean

run-broker:
	$(CARGO) run --release --locked -- serve

demo:
	$(CARGO) run --release --locked --quiet --example demo

test: test-rust test-python

test-rust:
	$(CARGO) test --locked

# The Python middleware, and CPython as the judge of every translation. BABELMQ_JUDGE_VALUES says how many values. With
# another Python: make test-python PYTHON=python3.9 VENV=.venv/3.9
test-python: $(VENV)/installed
	$(CARGO) build --locked --bins --examples
	cd clients/python && $(IN_VENV)/ruff check .
	cd clients/python && if [ -x $(IN_VENV)/mypy ]; then $(IN_VENV)/mypy; else echo "no mypy for this Python"; fi
	cd clients/python && BABELMQ_BIN="$(TARGET)/debug/babelmq" $(IN_VENV)/python -m pytest

$(VENV)/installed: clients/python/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet -e './clients/python[test,lint]'
	touch $@

# The broker's threads in many orders: MODEL_ITERATIONS says how many of each kind, MODEL_SEED repeats a run.
model:
	RUSTFLAGS="--cfg shuttle -D warnings" CARGO_PROFILE_TEST_OPT_LEVEL=1 $(CARGO) test --locked --quiet \
		--target-dir "$(TARGET)/model" --no-default-features --features broker --lib broker::model -- --nocapture

check: fmt clippy features doc deny test model

fmt:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --locked --all-targets -- -D warnings

# Each half stands alone: an embedder needs no client, a client no broker.
features:
	$(CARGO) clippy --locked --lib --no-default-features -- -D warnings
	$(CARGO) clippy --locked --lib --no-default-features --features broker -- -D warnings
	$(CARGO) clippy --locked --lib --examples --no-default-features --features middleware -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

# Licences and sources of the dependencies. Advisories are a matter for a machine that reaches their database.
deny: $(DENY)
	PATH="$(CURDIR)/.tools/bin:$$PATH" $(CARGO) deny --offline check licenses bans sources

$(DENY):
	$(CARGO) install cargo-deny --locked --version $(DENY_VERSION) --root .tools

bench:
	$(CARGO) bench --locked

# Beside NATS, Redis and Mosquitto, which it installs from Debian where they are missing.
bench-peers:
	sh bench/install-peers.sh
	$(CARGO) build --release --locked
	$(CARGO) run --release --locked --manifest-path bench/Cargo.toml -- peers \
		--babelmq target/release/babelmq --out docs/performance $(BENCH_ARGS)

clean:
	$(CARGO) clean
	rm -rf .tools $(VENV)
