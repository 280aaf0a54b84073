//! What a store says when something goes wrong.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What went wrong, and what to do about it, for a person.
///
/// ```
/// use std::{error::Error, fs, io};
/// use babelmq::StoreError;
///
/// let cause = fs::read("/no/such/file").unwrap_err();
/// let error = StoreError::new(format!("cannot read the values: {cause}")).with_source(cause);
/// let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
/// assert_eq!(cause.map(|cause| cause.kind()), Some(io::ErrorKind::NotFound));
/// ```
#[derive(Clone, Debug)]
pub struct StoreError {
    reason: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error, in words that stand alone: what, where and what to do.
    pub fn new(reason: impl Into<String>) -> StoreError {
        StoreError { reason: reason.into(), source: None }
    }

    /// The same error, and what it comes from, for programs.
    #[must_use]
    pub fn with_source(self, source: impl Error + Send + Sync + 'static) -> StoreError {
        StoreError { source: Some(Arc::new(source)), ..self }
    }

    /// The words.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}
