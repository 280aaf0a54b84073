//! placeholder, the map comes with the rooms
pub mod codec;
pub mod protocol;
