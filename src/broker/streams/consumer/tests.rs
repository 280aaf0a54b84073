//! A consumer against a naive one that has a state for every message, under random schedules; and
//! cases by hand.

mod agree;
mod cases;
mod crash;
mod model;
mod notes;
mod ops;
mod pair;
mod schedules;
