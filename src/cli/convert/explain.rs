//! `--explain`: which types there are, and what each becomes.

use std::collections::BTreeMap;
use std::io::Write;

use super::Failure;
use crate::cli::visible;
use crate::protocol::{Format, ScalarType, Value};

/// A row of the table of `docs/protocol.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    None,
    Bool,
    Int,
    LongInt,
    Float,
    NoNumber,
    Str,
    Bytes,
    Typed(ScalarType),
    List,
    Tuple,
    Set,
    FrozenSet,
    Dict,
    Map,
    Ndarray,
    Object,
}

impl Kind {
    fn of(value: &Value) -> Kind {
        match value {
            Value::None => Kind::None,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) => Kind::Int,
            Value::BigInt(_) => Kind::LongInt,
            Value::Float(number) if number.is_finite() => Kind::Float,
            Value::Float(_) => Kind::NoNumber,
            Value::Str(_) => Kind::Str,
            Value::Bytes(_) => Kind::Bytes,
            Value::Typed(of, _) => Kind::Typed(*of),
            Value::List(_) => Kind::List,
            Value::Tuple(_) => Kind::Tuple,
            Value::Set(_) => Kind::Set,
            Value::FrozenSet(_) => Kind::FrozenSet,
            Value::Dict(entries) if entries.iter().all(|(key, _)| matches!(key, Value::Str(_))) => {
                Kind::Dict
            }
            Value::Dict(_) => Kind::Map,
            Value::Ndarray(_) => Kind::Ndarray,
            Value::Object(_) => Kind::Object,
        }
    }

    /// The type, and what it becomes in XML.
    fn name(self) -> (&'static str, &'static str) {
        match self {
            Kind::None => ("None", "type=\"null\""),
            Kind::Bool => ("bool", "type=\"bool\""),
            Kind::Int => ("int", "type=\"int\""),
            Kind::LongInt => ("int over 64 bits", "type=\"int\""),
            Kind::Float => ("float", "type=\"float\""),
            Kind::NoNumber => ("nan, inf, -inf", "type=\"float\": NaN, INF, -INF"),
            Kind::Str => ("str", "type=\"str\""),
            Kind::Bytes => ("bytes", "type=\"bytes\", in base64"),
            Kind::Typed(of) => (of.name(), "its type, and as text"),
            Kind::List => ("list", "type=\"list\", an item for each"),
            Kind::Tuple => ("tuple", "type=\"tuple\", an item for each"),
            Kind::Set => ("set", "type=\"set\", an item for each"),
            Kind::FrozenSet => ("frozenset", "type=\"frozenset\", an item for each"),
            Kind::Dict => ("dict", "type=\"dict\", an element for each key"),
            Kind::Map => ("dict, other keys", "type=\"map\", an entry for each"),
            Kind::Ndarray => ("numpy.ndarray", "type=\"ndarray\", in base64"),
            Kind::Object => ("object", "type=\"object\", an element for each attribute"),
        }
    }

    fn in_pickle(self, exact: bool) -> (&'static str, &'static str) {
        match self {
            Kind::Typed(_) | Kind::Ndarray if exact => ("its class", ""),
            Kind::Typed(ScalarType::Timedelta) => {
                ("a float", "of seconds; --exact keeps its class")
            }
            Kind::Typed(_) => ("a str", "--exact keeps its class"),
            Kind::Ndarray => ("lists", "as tolist() gives; --exact keeps its class"),
            Kind::Object => ("a dict", "its class is lost"),
            _ => ("the same", ""),
        }
    }

    fn in_json(self, exact: bool) -> (&'static str, &'static str) {
        match (self, exact) {
            (Kind::None, _) => ("null", ""),
            (Kind::Bool, _) => ("true, false", ""),
            (Kind::Int, _) => ("a number", ""),
            (Kind::LongInt, false) => {
                ("a number, all digits", "many parsers round it; --exact tags it")
            }
            (Kind::LongInt, true) => ("{\"$int\":\"…\"}", ""),
            (Kind::Float, _) => ("a number", ""),
            (Kind::NoNumber, _) => ("{\"$float\":\"…\"}", "JSON has no number for it"),
            (Kind::Str, _) => ("a string", ""),
            (Kind::Bytes, _) => ("{\"$bytes\":\"…\"}", "in base64"),
            (Kind::Typed(ScalarType::Timedelta), false) => {
                ("a number", "of seconds; --exact tags it")
            }
            (Kind::Typed(_), false) => ("a string", "--exact tags it"),
            (Kind::Typed(_), true) => ("its tag, and as text", ""),
            (Kind::List, _) => ("an array", ""),
            (Kind::Tuple, false) => ("an array", "not to be told from a list; --exact tags it"),
            (Kind::Tuple, true) => ("{\"$tuple\":[…]}", ""),
            (Kind::Set, _) => ("{\"$set\":[…]}", ""),
            (Kind::FrozenSet, false) => {
                ("{\"$set\":[…]}", "not to be told from a set; --exact tags it")
            }
            (Kind::FrozenSet, true) => ("{\"$frozenset\":[…]}", ""),
            (Kind::Dict, _) => ("an object", ""),
            (Kind::Map, false) => {
                ("an object", "keys as strings; where two meet, {\"$dict\":[[k,v],…]}")
            }
            (Kind::Map, true) => ("{\"$dict\":[[k,v],…]}", ""),
            (Kind::Ndarray, false) => ("arrays", "as tolist() gives; --exact tags it"),
            (Kind::Ndarray, true) => ("{\"$ndarray\":{…}}", "in base64"),
            (Kind::Object, false) => ("an object", "its class is lost; --exact tags it"),
            (Kind::Object, true) => ("{\"$object\":{…}}", ""),
        }
    }
}

/// The values of a dict, and where each is.
fn inside_dict<'v>(
    entries: &'v [(Value, Value)],
    path: &str,
) -> impl Iterator<Item = (&'v Value, String)> {
    entries.iter().rev().map(move |(key, value)| {
        let at = match key {
            Value::Str(key) if key.chars().all(|c| c.is_alphanumeric() || c == '_') => {
                format!("{path}.{key}")
            }
            other => format!("{path}[{other}]"),
        };
        (value, at)
    })
}

/// The types that were found, how often, and where first.
#[derive(Debug, Default)]
pub(super) struct Found(BTreeMap<Kind, (u64, String)>);

impl Found {
    /// Looks at a value and all that is in it.
    pub(super) fn add(&mut self, value: &Value) {
        let mut work = vec![(value, "$".to_owned())];
        while let Some((value, path)) = work.pop() {
            match value {
                Value::List(items)
                | Value::Tuple(items)
                | Value::Set(items)
                | Value::FrozenSet(items) => {
                    let inside = items.iter().enumerate().rev();
                    work.extend(inside.map(|(index, item)| (item, format!("{path}[{index}]"))));
                }
                Value::Dict(entries) => work.extend(inside_dict(entries, &path)),
                Value::Object(object) => work.extend(inside_dict(&object.state, &path)),
                _ => {}
            }
            let path: String = visible::line(&path).chars().take(60).collect();
            self.0.entry(Kind::of(value)).or_insert((0, path)).0 += 1;
        }
    }

    /// Writes the table.
    pub(super) fn write(
        &self,
        out: &mut impl Write,
        to: Format,
        exact: bool,
    ) -> Result<(), Failure> {
        let mut rows = vec![["type", "how many", "first at", "becomes", ""].map(str::to_owned)];
        for (kind, (count, path)) in &self.0 {
            let (name, in_xml) = kind.name();
            let (becomes, remark) = match to {
                Format::Json => kind.in_json(exact),
                Format::Xml => (in_xml, ""),
                Format::Pickle => kind.in_pickle(exact),
            };
            rows.push([
                name.into(),
                count.to_string(),
                path.clone(),
                becomes.into(),
                remark.into(),
            ]);
        }
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 5] = std::array::from_fn(width);
        for row in &rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
