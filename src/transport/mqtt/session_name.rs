//! What a session is known by.

use std::sync::Arc;

/// The name of a session: two users never share one, whatever their clients call themselves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::transport) struct SessionName {
    pub(in crate::transport) user: Option<Arc<str>>,
    pub(in crate::transport) client: Arc<str>,
}
