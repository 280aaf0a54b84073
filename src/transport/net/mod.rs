//! The system's part in sockets, and in waiting for many of them.
//!
//! It comes from here so that a model checker can take its place, as `broker::sync` does for what
//! threads meet at.

#[cfg(not(shuttle))]
mod system;
#[cfg(not(shuttle))]
pub(super) use system::*;

#[cfg(shuttle)]
#[cfg_attr(not(test), allow(dead_code, unused_imports, reason = "only models use all of it"))]
mod simulated;
#[cfg(shuttle)]
pub(super) use simulated::*;
