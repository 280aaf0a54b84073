//! Refusals of what is not plain data: they name it, and say what to send instead.

use std::fmt::Display;

use super::reader::{Reader, shown};
use crate::protocol::{ErrorCode, Refusal};

/// Refuses an import by name, and says what to send instead.
#[cold]
pub(super) fn imports(reader: &Reader<'_>, module: &[u8], name: &[u8]) -> Refusal {
    let advice = match (module, name) {
        (b"datetime", b"timedelta") => "send .total_seconds()",
        (b"datetime", _) => "send .isoformat()",
        (b"decimal", _) | (b"uuid", _) | (b"pathlib", _) => "send str() of it",
        (b"collections", b"OrderedDict" | b"defaultdict" | b"Counter") => "send dict() of it",
        (b"collections", b"deque") => "send list() of it",
        _ if module.starts_with(b"numpy") => "send .tolist() of it",
        _ => "send a dict of its fields",
    };
    let shown = format!("{}.{}", shown(module), shown(name));
    forbidden(reader, format_args!("imports {shown}"), advice)
}

/// Refuses a call.
#[cold]
pub(super) fn calls(reader: &Reader<'_>, what: impl Display) -> Refusal {
    forbidden(reader, format_args!("calls {what}"), PLAIN)
}

/// The advice where nothing better is known.
pub(super) const PLAIN: &str = "convert objects before pickling";

/// Refuses what the present opcode does.
#[cold]
pub(super) fn forbidden(reader: &Reader<'_>, does: impl Display, advice: &str) -> Refusal {
    Refusal::new(
        ErrorCode::ForbiddenPickle,
        format!(
            "the pickle {does} ({}); only plain data is accepted: None, bool, int, float, str, \
             bytes, \
             list, tuple, set, frozenset, dict; {advice}",
            reader.here()
        ),
    )
}
