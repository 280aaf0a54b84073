//! The names of elements that no key names.

use crate::xml::chars;

/// Bytes in such a name.
const MAX_NAME: usize = 64;

/// The names that a consumer of plain XML gives to elements that no key names.
///
/// ```
/// use babelmq_codec::PlainNames;
///
/// let names = PlainNames::new(Some("data"), Some("row")).unwrap();
/// assert_eq!((names.root(), names.item()), (Some("data"), "row"));
/// assert_eq!(PlainNames::default().item(), "item");
/// assert_eq!(PlainNames::new(None, Some("no name")), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainNames {
    root: Option<Box<str>>,
    item: Option<Box<str>>,
}

impl PlainNames {
    /// The root element around a value that is not one element of its own, and the element of an
    /// item that is in no dict. `None` where one is no name of XML without a colon, or longer than
    /// 64 bytes.
    pub fn new(root: Option<&str>, item: Option<&str>) -> Option<PlainNames> {
        let is_name =
            |name: &str| name.len() <= MAX_NAME && chars::is_element_name(name.as_bytes());
        let names = [root, item];
        let all = names.into_iter().flatten().all(is_name);
        let [root, item] = names.map(|name| name.map(Box::from));
        all.then_some(PlainNames { root, item })
    }

    /// The root element, where there is to be one.
    pub fn root(&self) -> Option<&str> {
        self.root.as_deref()
    }

    /// The element of an item.
    pub fn item(&self) -> &str {
        self.item.as_deref().unwrap_or("item")
    }

    /// Whether they are those that a consumer has who gave none.
    pub fn are_usual(&self) -> bool {
        *self == PlainNames::default()
    }
}
