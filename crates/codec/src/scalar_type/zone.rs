//! Time zones by their names, in the database that the program was built with.

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

/// The zone of that name, in just these letters; `None` for what is not in the database.
pub(super) fn named(name: &[u8]) -> Option<TimeZone> {
    /// No name is as long.
    const LONGEST: usize = 64;
    static DATABASE: OnceLock<TimeZoneDatabase> = OnceLock::new();
    if name.len() > LONGEST {
        return None;
    }
    let name = str::from_utf8(name).ok()?;
    let zone = DATABASE.get_or_init(TimeZoneDatabase::bundled).get(name).ok()?;
    (zone.iana_name() == Some(name)).then_some(zone)
}

/// The seconds from UTC at a local time: those of `fold=0` and those of `fold=1`, which differ
/// where clocks are set.
pub(super) fn offsets(zone: &TimeZone, local: DateTime) -> [i64; 2] {
    let [first, second] = match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => [offset, offset],
        AmbiguousOffset::Gap { before, after } | AmbiguousOffset::Fold { before, after } => {
            [before, after]
        }
    };
    [first.seconds().into(), second.seconds().into()]
}

/// The seconds from UTC of a zone in which clocks were never set.
pub(super) fn fixed_offset(zone: &TimeZone) -> Option<i64> {
    let has_changes = zone.following(Timestamp::MIN).next().is_some();
    (!has_changes).then(|| zone.to_offset(Timestamp::UNIX_EPOCH).seconds().into())
}
