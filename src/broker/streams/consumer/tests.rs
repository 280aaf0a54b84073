//! A consumer against a naive one that has a state for every message, under random schedules; and
//! cases by hand.

mod cases;
mod model;
mod notes;
mod schedules;
