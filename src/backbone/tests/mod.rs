//! Lines of this room against a server of NATS.

mod credentials;
mod delivered;
mod fixture;
mod flow;
mod followed;
#[allow(dead_code, unreachable_pub, reason = "the tests from outside use all of it")]
#[path = "../../../tests/support/nats.rs"]
mod nats;
mod outages;
#[allow(dead_code, unreachable_pub, reason = "the tests from outside use all of it")]
#[path = "../../../tests/support/proxy.rs"]
mod proxy;
mod shared;

/// What takes longer does not come.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
