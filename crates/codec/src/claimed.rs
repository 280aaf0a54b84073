//! Decoding in memory that was claimed for it.
//!
//! A payload seldom decodes to more than it can without references to its own parts, and that
//! follows from its length. So as much is claimed first, and the rest only where it turns out to be
//! needed.

use std::time::Duration;

use super::document::Document;
use super::envelope::{Part, decode_within};
use super::memory::{Account, Claim};
use crate::protocol::{ErrorCode, Format, Limits, Refusal, plain_size};

/// Bytes of memory that decoding may take for each byte of its budget, at the most.
pub const DECODING_FACTOR: usize = 2;
/// A payload that takes less need not be claimed for: its thread has a processor while it decodes,
/// and there are few of those.
const FREE: usize = 128 << 10;
/// A thread that decodes waits for nothing but a processor, so the wait is short.
const PATIENCE: Duration = Duration::from_secs(5);

/// Memory to decode in.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    /// None where memory has no bounds.
    account: Option<Account>,
}

impl Workspace {
    /// Memory that is claimed from an account.
    pub fn new(account: Account) -> Workspace {
        Workspace { account: Some(account) }
    }

    /// Claims what a budget of `decoded` bytes takes; `None` where there is no memory, and was none
    /// for 5 s.
    pub fn claim(&self, decoded: usize) -> Option<Claim> {
        let Some(account) = &self.account else { return Some(Claim::nothing()) };
        let bytes = decoded.saturating_mul(DECODING_FACTOR).min(account.share().most_for_one());
        if bytes <= FREE { Some(Claim::nothing()) } else { account.claim(bytes, PATIENCE) }
    }

    /// The same where it cannot be refused: without memory, others wait all the longer.
    fn charge(&self, decoded: usize) -> Claim {
        self.claim(decoded)
            .or_else(|| Some(self.account.as_ref()?.charge(decoded)))
            .unwrap_or_default()
    }

    /// Decodes a payload that was judged. It is not refused now: where there is no memory, others
    /// wait all the longer.
    ///
    /// # Errors
    /// None for a payload that was judged.
    pub fn decode(
        &self,
        source: &[u8],
        format: Format,
        part: &Part,
        document: &mut Document,
        limits: &Limits,
    ) -> Result<(usize, Claim), Refusal> {
        let length = part.range().len();
        let mark = document.mark();
        for decoded in [plain_size(length), limits.decoded_budget(length), usize::MAX] {
            let claim = self.charge(decoded);
            match decode_within(source, format, part, document, limits, decoded) {
                Err(refusal) if refusal.code == ErrorCode::TooLarge && decoded < usize::MAX => {
                    document.truncate(mark);
                }
                decoded => return decoded.map(|root| (root, claim)),
            }
        }
        Err(Refusal::new(ErrorCode::TooLarge, "the message decodes to more than there is memory"))
    }
}
