//! A filter as rights are asked about it: by its segments, without a look at its spelling.

use crate::protocol::TopicFilter;

/// A filter in its normal form.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) segments: Vec<&'a str>,
    /// Whether topics with more segments are asked for as well.
    pub(super) below: bool,
}

impl<'a> From<&'a TopicFilter> for Asked<'a> {
    fn from(filter: &'a TopicFilter) -> Asked<'a> {
        Asked { segments: normal(filter.segments()), below: filter.reaches_below() }
    }
}

/// The segments of a filter. Every topic has a first segment, and one more behind an empty one, so
/// these are put in: then there is a topic that has exactly as many as the filter.
pub(super) fn normal<'a>(segments: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut segments: Vec<&str> = segments.collect();
    if segments.is_empty() || segments == [""] {
        segments.push("+");
    }
    segments
}
