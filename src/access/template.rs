//! The filter of a rule, in which `{user}` stands for the name of the user.

use std::borrow::Cow;

use crate::protocol::TopicFilter;

/// What stands for the name.
const USER: &str = "{user}";

/// A topic filter in whose segments `{user}` may stand.
#[derive(Debug)]
pub(super) struct Template {
    text: Box<str>,
    /// Segments that matter: all but a trailing `#`.
    depth: usize,
}

impl Template {
    /// Reads the filter of a rule. A filter longer than 1,024 bytes with the name in it is none
    /// that a topic could match, and no mistake.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        let sample = text.replace(USER, "u");
        if sample.contains(['{', '}']) {
            // A slip in a deny rule would let pass what it was to keep out.
            return Err(format!("{{ and }} stand in {USER} alone, which is the user's name"));
        }
        let filter = TopicFilter::parse(&sample)
            .map_err(|refusal| refusal.reason.replacen(&*sample, text, 1))?;
        Ok(Template { text: text.into(), depth: filter.segments().count() })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn has_user(&self) -> bool {
        self.text.contains(USER)
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').take(self.depth)
    }
}

/// Whether the name stands in a segment of a template.
pub(super) fn has_user(segment: &str) -> bool {
    segment.contains(USER)
}

/// A segment of a template, with the name in it.
pub(super) fn filled<'a>(segment: &'a str, user: &str) -> Cow<'a, str> {
    if has_user(segment) { segment.replace(USER, user).into() } else { segment.into() }
}

/// A segment of a template, cut where the name stands in it.
#[derive(Debug)]
pub(super) struct OfUser {
    text: Box<str>,
    /// Where each name begins.
    names: Vec<usize>,
}

impl OfUser {
    pub(super) fn new(segment: &str) -> OfUser {
        let names = segment.match_indices(USER).map(|(at, _)| at).collect();
        OfUser { text: segment.into(), names }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it becomes this segment with the name in it. Nothing is copied, or searched for.
    pub(super) fn becomes(&self, user: &str, segment: &str) -> bool {
        let (mut rest, mut from) = (segment, 0);
        for at in &self.names {
            let part = rest.strip_prefix(&self.text[from..*at]);
            let Some(behind) = part.and_then(|part| part.strip_prefix(user)) else { return false };
            (rest, from) = (behind, at + USER.len());
        }
        rest == &self.text[from..]
    }
}

/// Whether a name can stand in a segment of a topic.
pub(super) fn fits_in_a_segment(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '+', '#']) && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_the_segments_that_matter() {
        for (text, expected) in [
            ("#", &[][..]),
            ("/", &[""]),
            ("/#", &[""]),
            ("a/#", &["a"]),
            ("a/{user}/+/#", &["a", "{user}", "+"]),
            ("/x-{user}", &["", "x-{user}"]),
        ] {
            assert_eq!(Template::parse(text).unwrap().segments().collect::<Vec<_>>(), expected);
        }
        for bad in ["", "a//b", "a/", "+{user}", "a/{user}#", "{usr}", "a/{user", "#/{user}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_segment_is_compared_as_if_the_name_were_filled_in() {
        for template in ["{user}", "x-{user}", "{user}-x", "{user}{user}", "a{user}a{user}", "a"] {
            for user in ["a", "ab", "aa"] {
                for segment in ["a", "aa", "aaa", "aaaa", "ab", "abab", "x-a", "ab-x", "aabaab"] {
                    assert_eq!(
                        OfUser::new(template).becomes(user, segment),
                        filled(template, user) == segment,
                        "{template} {user} {segment}"
                    );
                }
            }
        }
    }
}
