//! Refusals of what is not plain data: they name it, and say what to send instead.

use std::fmt::Display;

use super::reader::{Reader, shown};
use crate::protocol::{ErrorCode, Refusal};

/// Refuses an import by name, and says what to send instead.
#[cold]
pub(super) fn imports(reader: &Reader<'_>, module: &[u8], name: &[u8]) -> Refusal {
    let package = module.split(|&byte| byte == b'.').next().unwrap_or_default();
    let advice = match (package, name) {
        (b"pandas", b"_unpickle_timestamp") => "send .to_pydatetime() of a Timestamp",
        (b"pandas", b"_timedelta_unpickle") => "send .to_pytimedelta() of a Timedelta",
        (b"pandas", b"DataFrame") => "send .to_dict(\"records\") of it",
        (b"pandas", b"Series") => "send .tolist() of it",
        (b"pandas", _) => "send None for what is missing, and plain values for all else",
        (b"pytz" | b"dateutil", _) => {
            "give datetimes a zone of zoneinfo or datetime.timezone: \
             .astimezone(datetime.timezone.utc)"
        }
        (b"numpy", _) => "send .item() or .tolist() of it, or .astype() a dtype of plain items",
        (b"pathlib" | b"ipaddress", _) => "send str() of it",
        (b"collections", _) => "send dict() or list() of it",
        // A class, by the usual spelling.
        (_, [b'A'..=b'Z', ..]) => {
            "send a dict of its fields, as vars() of it, or have the broker read the class \
             (--pickle-class)"
        }
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
             list, tuple, set, frozenset, dict, and the types of datetime, decimal, uuid and \
             fractions; {advice}",
            reader.here()
        ),
    )
}
