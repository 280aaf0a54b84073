//! Faults and their places: refusals before they are put into words for the person who reads them.

use std::borrow::Cow;
use std::fmt::Write;

use crate::protocol::{ErrorCode, Refusal};

/// Why a body is refused.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: ErrorCode,
    /// The index in the source; `None` where there is no one place.
    pub(super) at: Option<usize>,
    pub(super) what: Cow<'static, str>,
}

impl Fault {
    #[cold]
    pub(super) fn new(code: ErrorCode, at: usize, what: impl Into<Cow<'static, str>>) -> Fault {
        Fault { code, at: Some(at), what: what.into() }
    }

    #[cold]
    pub(super) fn malformed(at: usize, what: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ErrorCode::MalformedXml, at, what)
    }

    #[cold]
    pub(super) fn forbidden(at: usize, what: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ErrorCode::ForbiddenXml, at, what)
    }

    /// The same fault; where it has no place yet, at `at` in the element `name`.
    #[cold]
    pub(super) fn within(mut self, at: usize, name: &[u8]) -> Fault {
        if self.at.is_none() {
            self.at = Some(at);
            self.what = format!("<{}>: {}", shown(name), self.what).into();
        }
        self
    }

    /// As the broker's answer; `start` is where the body begins in the source.
    #[cold]
    pub(super) fn into_refusal(self, start: usize) -> Refusal {
        let mut reason = String::new();
        if let Some(at) = self.at {
            let _ = write!(reason, "byte {} of the body: ", at.saturating_sub(start));
        }
        // The words of quick-xml quote names in full, and a name may be as long as the frame.
        const MOST: usize = 300;
        match self.what.char_indices().nth(MOST) {
            Some((end, _)) => reason.extend([&self.what[..end], "…"]),
            None => reason.push_str(&self.what),
        }
        Refusal::new(self.code, reason)
    }
}

impl From<Refusal> for Fault {
    #[cold]
    fn from(refusal: Refusal) -> Fault {
        Fault { code: refusal.code, at: None, what: refusal.reason.clone().into() }
    }
}

/// The beginning of a piece of the input, fit to be read in a log.
#[cold]
pub(super) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 40;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MOST)]);
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}
