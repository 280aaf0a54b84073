//! Arrays of numpy's, in their parts.

/// An array of numpy's.
///
/// Another spelling of its dtype is made canonical on its way, and parts that fit no array are
/// refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ndarray {
    /// What its items are, as numpy's `dtype.str` says it: `<f8`. Bool, int, uint, float, complex,
    /// str, bytes, datetime64 and timedelta64 are known.
    pub dtype: String,
    /// Its dimensions, none for a scalar, 64 at most.
    pub shape: Vec<u64>,
    /// Its items in C order: bytes, as many as its shape and its dtype take.
    pub data: Vec<u8>,
}
