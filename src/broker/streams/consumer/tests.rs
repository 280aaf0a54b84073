//! A consumer against a naive one that has a state for every message, under random schedules; and
//! cases by hand.
//!
//! These faults, planted one by one, were found by the schedules: an ack settles what is before it
//! in its run; one attempt too many; a member that leaves does not use up its attempt; `touch` sets
//! no time; a message before a cut is lost; a topic goes to two members, or passes what waits; notes
//! of acks are not sorted; a retry is noted before its ack; a beginning or acks behind the end of
//! the log count; what is before a hole is settled; second attempts are not noted; attempts of one
//! message count for its neighbours; the filter is not asked; a snapshot forgets the dead; a message
//! is due too late. And these by the cases: more is given than there is room for; the rest of what
//! is due is forgotten.

mod agree;
mod cases;
mod crash;
mod model;
mod notes;
mod ops;
mod pair;
mod schedules;
