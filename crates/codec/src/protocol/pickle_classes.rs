//! Which classes of people's own a pickle may name, as data.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// The classes whose objects are read from pickles as the dicts of their state. Nothing is
/// imported, looked up or called whatever they are: a class that is none of them is refused by
/// name.
///
/// ```
/// use babelmq_codec::{Format, Message, PickleClasses, Value};
///
/// // What `pickle.dumps(Order())` makes of an order that has an id.
/// let order = b"\x80\x04\x8c\x0aapp.models\x8c\x05Order\x93)\x81}\x8c\x02idK\x05sb.";
/// assert!(Message::parse(Format::Pickle, order).is_err());
///
/// let classes: PickleClasses = "app.models.*".parse()?;
/// let message = Message::parse_with_classes(Format::Pickle, order, classes)?;
/// assert_eq!(message.translate(Format::Json, false)?.bytes(), br#"{"id":5}"#);
/// assert_eq!(message.value()?.to_string(), r#"app.models.Order({"id": 5})"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PickleClasses(Which);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Which {
    #[default]
    None,
    Any,
    Listed(&'static [ClassPattern]),
}

/// A class by its name, or all below a module: `app.models.Order`, `app.models.*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassPattern {
    /// What a name begins with; all of it, unless anything may follow.
    beginning: String,
    is_open: bool,
}

/// A text that is no pattern for classes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no class, such as app.models.Order, and no app.models.* for all of a module")]
pub struct InvalidClassPattern(String);

impl FromStr for ClassPattern {
    type Err = InvalidClassPattern;

    fn from_str(text: &str) -> Result<ClassPattern, InvalidClassPattern> {
        let (beginning, is_open) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (text, false),
        };
        let names = if is_open { beginning.strip_suffix('.').unwrap_or("") } else { beginning };
        let is_name = |part: &str| {
            !part.is_empty() && part.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        };
        // A `*` alone stands for all there are.
        let is_all = is_open && beginning.is_empty();
        if !is_all && !names.split('.').all(is_name) {
            return Err(InvalidClassPattern(text.to_owned()));
        }
        Ok(ClassPattern { beginning: beginning.to_owned(), is_open })
    }
}

impl fmt::Display for ClassPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.beginning, if self.is_open { "*" } else { "" })
    }
}

impl FromStr for PickleClasses {
    type Err = InvalidClassPattern;

    fn from_str(text: &str) -> Result<PickleClasses, InvalidClassPattern> {
        Ok(PickleClasses::listed(vec![text.parse()?]))
    }
}

impl PickleClasses {
    /// None: the default of a broker.
    pub const NONE: PickleClasses = PickleClasses(Which::None);

    /// Any: for what was judged before, and what a program wrote for itself.
    pub const ANY: PickleClasses = PickleClasses(Which::Any);

    /// Those that one of the patterns covers. A list is kept as long as the process lives, and each
    /// different one once.
    pub fn listed(patterns: Vec<ClassPattern>) -> PickleClasses {
        static LISTS: Mutex<Vec<&'static [ClassPattern]>> = Mutex::new(Vec::new());
        if patterns.is_empty() {
            return PickleClasses::NONE;
        }
        let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
        let list = match lists.iter().find(|list| ***list == patterns) {
            Some(list) => list,
            None => {
                let list: &'static [ClassPattern] = Vec::leak(patterns);
                lists.push(list);
                list
            }
        };
        PickleClasses(Which::Listed(list))
    }

    /// Whether a class of this name is one of them.
    pub(crate) fn include(self, class: &[u8]) -> bool {
        match self.0 {
            Which::None => false,
            Which::Any => true,
            Which::Listed(patterns) => patterns.iter().any(|pattern| {
                let beginning = pattern.beginning.as_bytes();
                if pattern.is_open { class.starts_with(beginning) } else { class == beginning }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_class_or_all_of_a_module() {
        for (pattern, covers, passes_by) in [
            ("app.models.Order", "app.models.Order", "app.models.Orders"),
            ("app.models.*", "app.models.sub.Order", "app.modelsx.Order"),
            ("app.*", "app.Order", "application.Order"),
            ("*", "anything.at.all", ""),
        ] {
            let classes: PickleClasses = pattern.parse().unwrap();
            assert!(classes.include(covers.as_bytes()), "{pattern}");
            assert!(passes_by.is_empty() || !classes.include(passes_by.as_bytes()), "{pattern}");
            assert_eq!(pattern.parse::<ClassPattern>().unwrap().to_string(), pattern);
            assert_eq!(classes, pattern.parse().unwrap());
        }
        for text in ["", ".", "a.", ".*", "a*", "a.*.b", "a b", "a..b", "**"] {
            let refused = text.parse::<PickleClasses>();
            assert_eq!(refused, Err(InvalidClassPattern(text.to_owned())), "{text}");
        }
    }
}
