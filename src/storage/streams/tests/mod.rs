//! What logs promise: on the file system of the machine, and on disks that fail.

mod basics;
mod disks;
mod starts;
mod world;
