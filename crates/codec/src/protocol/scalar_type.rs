//! Scalars of Python's standard library, by name.

/// A type of which a value is one text.
///
/// ```
/// use babelmq_codec::ScalarType;
///
/// assert_eq!(ScalarType::Decimal.canonical("1e3").as_deref(), Ok("1E+3"));
/// assert!(ScalarType::Date.canonical("2026-02-30").is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ScalarType {
    /// `datetime.datetime`: as `isoformat()` writes it; behind it a time zone in brackets, and
    /// `[_fold=1]` where nothing else tells it (RFC 9557 §3.1).
    Datetime,
    /// `datetime.date`: `2026-11-29`.
    Date,
    /// `datetime.time`: as [`Datetime`](Self::Datetime), without a date.
    Time,
    /// `datetime.timedelta`: an ISO 8601 duration of days, hours, minutes and seconds.
    Timedelta,
    /// `decimal.Decimal`: as `str()` writes it.
    Decimal,
    /// `uuid.UUID`: 36 characters, in small letters.
    Uuid,
    /// `fractions.Fraction`: `1/3`, reduced, or an integer.
    Fraction,
    /// `complex`: as `str()` writes it.
    Complex,
}

impl ScalarType {
    /// Every type.
    pub const ALL: [ScalarType; 8] = [
        ScalarType::Datetime,
        ScalarType::Date,
        ScalarType::Time,
        ScalarType::Timedelta,
        ScalarType::Decimal,
        ScalarType::Uuid,
        ScalarType::Fraction,
        ScalarType::Complex,
    ];

    /// The type's name: its `type` in XML, and after a `$` its tag in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            ScalarType::Datetime => "datetime",
            ScalarType::Date => "date",
            ScalarType::Time => "time",
            ScalarType::Timedelta => "timedelta",
            ScalarType::Decimal => "decimal",
            ScalarType::Uuid => "uuid",
            ScalarType::Fraction => "fraction",
            ScalarType::Complex => "complex",
        }
    }

    /// The type of that name.
    pub(crate) fn named(name: &[u8]) -> Option<ScalarType> {
        ScalarType::ALL.into_iter().find(|of| of.name().as_bytes() == name)
    }
}
