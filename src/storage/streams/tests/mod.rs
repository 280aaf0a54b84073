//! Logs in a directory of their own.

mod basics;
