//! Namespace prefixes inside `message`: each must be declared there, since the element travels
//! alone.
//!
//! Every declaration and every use costs one look-up, however many are open; an element without a
//! colon costs none.

use std::collections::{HashMap, HashSet};

use super::chars;
use super::fault::{Fault, shown};
use super::tag::{self, Attribute};
use super::text::Span;

/// What the prefix `xml` means, and nothing else may mean.
const XML: &[u8] = b"http://www.w3.org/XML/1998/namespace";
/// What nothing may mean.
const XMLNS: &[u8] = b"http://www.w3.org/2000/xmlns/";

/// The prefixes that are declared at this point.
#[derive(Debug, Default)]
pub(super) struct Scope<'s> {
    /// The index in `bindings` that each prefix has now; absent where none.
    latest: HashMap<&'s [u8], usize>,
    bindings: Vec<Binding<'s>>,
    /// Namespace names as small numbers, so that comparing two costs the same whatever their
    /// length.
    names: HashMap<Vec<u8>, usize>,
}

#[derive(Debug)]
struct Binding<'s> {
    prefix: &'s [u8],
    namespace: usize,
    /// What the prefix meant outside.
    shadowed: Option<usize>,
}

/// What a name says with its prefix.
pub(super) enum Meaning<'s> {
    /// Nothing but itself: it has no prefix, or `xml`.
    Itself,
    /// A name in a namespace.
    In(usize, &'s [u8]),
    /// It is none: its colon stands where none can.
    NoName,
    /// Its prefix is not declared.
    Undeclared(&'s [u8]),
}

/// Whether a prefix may be declared as the name of a namespace.
pub(super) fn may_be_declared(prefix: &[u8], name: &[u8]) -> bool {
    let reserved = prefix == b"xmlns" || (prefix == b"xml") != (name == XML) || name == XMLNS;
    chars::is_name(prefix) && !prefix.contains(&b':') && !name.is_empty() && !reserved
}

/// Whether this may be what names without a prefix are in.
pub(super) fn may_be_default(name: &[u8]) -> bool {
    name != XML && name != XMLNS
}

/// A name cut at its colon.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', name)?;
    Some((&name[..colon], &name[colon + 1..]))
}

#[cold]
fn refused(at: usize, prefix: &[u8], name: &[u8]) -> Fault {
    Fault::malformed(
        at,
        format!(
            "the declaration of prefix {:?} as \"{}\": it takes a prefix that is a name without a \
             colon, other than xml and xmlns, and \
             a name that is not empty and not that of xml or xmlns",
            shown(prefix),
            shown(name)
        ),
    )
}

impl<'s> Scope<'s> {
    /// How many declarations are open, for [`leave`](Self::leave).
    pub(super) fn depth(&self) -> usize {
        self.bindings.len()
    }

    /// Enters an element: takes its declarations, then judges its name and the names of its
    /// attributes.
    pub(super) fn enter(
        &mut self,
        source: &'s [u8],
        name: Span,
        attributes: &[Attribute],
    ) -> Result<(), Fault> {
        let mut prefixed = 0;
        for attribute in attributes {
            match split(attribute.name.of(source)) {
                Some((b"xmlns", prefix)) => self.declare(source, prefix, *attribute)?,
                Some(_) => prefixed += 1,
                None if attribute.name.of(source) == b"xmlns" => {
                    let mut namespace = Vec::new();
                    tag::push_value(source, *attribute, &mut namespace)?;
                    if !may_be_default(&namespace) {
                        return Err(refused(attribute.name.start(), b"", &namespace));
                    }
                }
                None => {}
            }
        }
        self.resolve(source, name)?;
        if prefixed == 0 {
            return Ok(());
        }
        let mut expanded = HashSet::new();
        for attribute in attributes {
            let Some((b"xmlns", _)) = split(attribute.name.of(source)) else {
                let resolved = self.resolve(source, attribute.name)?;
                if let Some(resolved) = resolved
                    && prefixed > 1
                    && !expanded.insert(resolved)
                {
                    return Err(Fault::malformed(
                        attribute.name.start(),
                        format!(
                            "<{}>: attribute {:?} is given twice, under two prefixes of one \
                             namespace",
                            shown(name.of(source)),
                            shown(attribute.name.of(source))
                        ),
                    ));
                }
                continue;
            };
        }
        Ok(())
    }

    /// Leaves the elements whose declarations came after the first `depth`.
    pub(super) fn leave(&mut self, depth: usize) {
        while self.bindings.len() > depth
            && let Some(binding) = self.bindings.pop()
        {
            match binding.shadowed {
                Some(outer) => self.latest.insert(binding.prefix, outer),
                None => self.latest.remove(binding.prefix),
            };
        }
    }

    fn declare(
        &mut self,
        source: &'s [u8],
        prefix: &'s [u8],
        attribute: Attribute,
    ) -> Result<(), Fault> {
        let mut name = Vec::new();
        tag::push_value(source, attribute, &mut name)?;
        if !may_be_declared(prefix, &name) {
            return Err(refused(attribute.name.start(), prefix, &name));
        }
        self.bind(prefix, name);
        Ok(())
    }

    /// Takes a declaration that [may be made](may_be_declared).
    pub(super) fn bind(&mut self, prefix: &'s [u8], name: Vec<u8>) {
        let next = self.names.len();
        let namespace = *self.names.entry(name).or_insert(next);
        let shadowed = self.latest.insert(prefix, self.bindings.len());
        self.bindings.push(Binding { prefix, namespace, shadowed });
    }

    /// What a name says here.
    pub(super) fn meaning<'n>(&self, name: &'n [u8]) -> Meaning<'n> {
        let Some((prefix, local)) = split(name) else { return Meaning::Itself };
        if prefix.is_empty() || local.is_empty() || local.contains(&b':') || !chars::is_name(local)
        {
            return Meaning::NoName;
        }
        if prefix == b"xml" {
            return Meaning::Itself;
        }
        match self.latest.get(prefix).and_then(|&at| self.bindings.get(at)) {
            Some(binding) => Meaning::In(binding.namespace, local),
            None => Meaning::Undeclared(prefix),
        }
    }

    /// The namespace and the local part of a name with a prefix; `None` for a name without, and for
    /// `xml:…`.
    fn resolve(&self, source: &'s [u8], name: Span) -> Result<Option<(usize, &'s [u8])>, Fault> {
        let shown_name = || shown(name.of(source));
        match self.meaning(name.of(source)) {
            Meaning::Itself => Ok(None),
            Meaning::In(namespace, local) => Ok(Some((namespace, local))),
            Meaning::NoName => Err(Fault::malformed(
                name.start(),
                format!(
                    "{:?} is no name: a colon separates one prefix from one name",
                    shown_name()
                ),
            )),
            Meaning::Undeclared(prefix) => Err(Fault::forbidden(
                name.start(),
                format!(
                    "{:?} has a prefix that is not declared inside the message; the message \
                     travels alone, so \
                     declare it there: <message xmlns:{}=\"…\">",
                    shown_name(),
                    shown(prefix)
                ),
            )),
        }
    }
}
