//! The values that go to a store, and the times when they go.

mod backup;
mod checkpointer;
mod progress;
mod store;
mod store_error;
mod store_writer;

pub use backup::BackupMade;
pub(in crate::broker) use checkpointer::{Checkpointer, Next};
pub(in crate::broker) use progress::Progress;
pub use progress::{Ticket, Unsaved};
pub use store::{Backup, Change, Expires, Fsync, Kept, NoStore, Store};
pub use store_error::StoreError;
pub(in crate::broker) use store_writer::HANDOVERS;
pub use store_writer::StoreWriter;
