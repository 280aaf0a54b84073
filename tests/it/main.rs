//! The tests from outside, all in one program: what each module is about, it says itself.
//!
//! They run at the same time, each with a broker of its own. A test that looks at the whole process
//! – its threads, its descriptors, its memory – belongs in `tests/alone`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[cfg(feature = "broker")]
#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod attack;
mod bad_input;
mod below;
mod circles;
mod classes;
mod cleared;
mod cli;
mod client_login;
mod client_tls;
mod directions;
mod durability;
mod durable;
mod embedding;
mod framing;
mod http;
mod late_answers;
mod limits;
mod lines;
mod listeners;
mod memory;
mod messages;
mod metrics_doc;
mod middleware;
mod mqtt;
mod ordering;
mod outages;
mod overflow;
mod overload;
mod pages;
mod plain;
mod protocol_doc;
mod refusals;
mod regressions;
mod shared;
mod snapshots;
mod storage;
mod stream_requests;
mod streams;
mod surface;
mod tls;
mod typed;
mod users;
mod websocket;
