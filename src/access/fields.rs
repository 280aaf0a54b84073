//! The values of a TOML table, each held to its type.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistakes::Mistakes;

/// A value of the file.
pub(super) type Found<'i> = Spanned<DeValue<'i>>;

/// A text of the file, and where it begins.
pub(super) struct Text<'i> {
    pub(super) at: usize,
    pub(super) text: &'i str,
}

pub(super) fn string<'v>(
    key: &str,
    value: &'v Found<'_>,
    to: &mut Mistakes<'_>,
) -> Option<Text<'v>> {
    let at = value.span().start;
    match value.get_ref() {
        DeValue::String(text) => Some(Text { at, text }),
        _ => {
            to.add(at, format!("{key} is a string, in quotes"));
            None
        }
    }
}

/// A list of strings; those of its items that are strings, where some are not.
pub(super) fn strings<'v>(key: &str, value: &'v Found<'_>, to: &mut Mistakes<'_>) -> Vec<Text<'v>> {
    let at = value.span().start;
    let DeValue::Array(items) = value.get_ref() else {
        to.add(at, format!("{key} is a list of strings, as in [\"a\", \"b\"]"));
        return Vec::new();
    };
    let item = format!("each item of {key}");
    items.iter().filter_map(|value| string(&item, value, to)).collect()
}

/// True or false; false where it is neither.
pub(super) fn truth(key: &str, value: &Found<'_>, to: &mut Mistakes<'_>) -> bool {
    match value.get_ref() {
        DeValue::Boolean(truth) => *truth,
        _ => {
            to.add(value.span().start, format!("{key} is true or false, without quotes"));
            false
        }
    }
}

/// A whole number from 1 on.
pub(super) fn number(key: &str, value: &Found<'_>, to: &mut Mistakes<'_>) -> Option<u64> {
    let number = match value.get_ref() {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    };
    let number = number.filter(|number| *number > 0 && i64::try_from(*number).is_ok());
    if number.is_none() {
        let what = format!("{key} is a whole number from 1 on; leave it out for no limit");
        to.add(value.span().start, what);
    }
    number
}

pub(super) fn table<'v, 'i>(
    what: &str,
    value: &'v Found<'i>,
    to: &mut Mistakes<'_>,
) -> Option<&'v DeTable<'i>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => {
            to.add(value.span().start, what);
            None
        }
    }
}
