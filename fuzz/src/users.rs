//! The text of a users file to users and rights.

mod naive;

use babelmq::TopicFilter;
use babelmq::access::{Explanation, Grant, Policy, Reach, Right, RuleName, UsersError};
use babelmq::protocol::TopicName;

use crate::{Bound, linear};
use naive::{Rules, User, World, is_about};

/// A segment of a rule is a node with a table, and a short field that there is not makes a line
/// which says what there is.
const BOUND: Bound = Bound { base: 32 << 10, per_byte: 1_200 };

/// A topic is looked up in each list of each role, and no look-up holds more than the rules.
const LOOKUP: Bound = Bound { base: 16 << 10, per_byte: 64 };

/// Users of a file whose rights are looked at.
const USERS: usize = 3;

/// The input is a users file.
pub fn users(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let policy = linear("a users file", text.len(), BOUND, || Policy::parse(text));
    let policy = match policy {
        Ok(policy) => policy,
        Err(error) => {
            lies_within(&error, text);
            repeats_no_password(&error, text);
            return;
        }
    };
    let read = naive::users(text);
    assert_eq!(policy.users().count(), read.len());
    for user in read.iter().take(USERS) {
        let found = policy.user(&user.name).unwrap_or_else(|| panic!("no user {:?}", user.name));
        let grant = found.grant();
        assert_eq!((grant.stats(), grant.admin()), (user.stats, user.admin));
        for (right, rules) in [(Right::Publish, &user.publish), (Right::Subscribe, &user.subscribe)]
        {
            held_to_rules(grant, right, rules, user, text);
        }
    }
}

/// Refuses a grant that says anything else of a topic or a filter than its rules say.
fn held_to_rules(grant: &Grant, right: Right, rules: &Rules, user: &User, text: &str) {
    let world = World::of(rules);
    let allowed: Vec<bool> = world.topics.iter().map(|topic| rules.allow(topic)).collect();
    for (topic, allowed) in world.topics.iter().zip(&allowed) {
        let name = TopicName::parse(topic).unwrap_or_else(|error| panic!("{topic:?}: {error}"));
        let said = linear("a look-up", text.len(), LOOKUP, || grant.may(right, name));
        assert_eq!(said, *allowed, "{right:?} {topic:?} {user:?}");
        let explained = grant.explain(right, name);
        let reach = if *allowed { Reach::All } else { Reach::Nothing };
        explains(&explained, reach, rules, user, text, |rule| is_about(rule, topic));
    }
    let world = (&world, &*allowed);
    for filter in &world.0.filters {
        let Ok(subtree) = TopicFilter::parse(filter) else { continue };
        held_to_topics(grant, right, &subtree, world, (rules, user, text));
        // Without what is below it matches nothing: then every answer is true.
        if filter != "/" {
            held_to_topics(grant, right, &subtree.below(false), world, (rules, user, text));
        }
    }
}

/// Refuses a grant that says anything else of a filter than the topics of a world say, of which
/// these are allowed.
fn held_to_topics(
    grant: &Grant,
    right: Right,
    filter: &TopicFilter,
    (world, allowed): (&World, &[bool]),
    (rules, user, text): (&Rules, &User, &str),
) {
    let said = linear("a reach", text.len(), BOUND, || grant.reach_of(right, filter));
    let depth = |text: &str| text.split('/').count();
    let is_matched = |topic: &str| {
        is_about(filter.as_str(), topic)
            && (filter.reaches_below() || depth(topic) == depth(filter.as_str()))
    };
    let matched = world.topics.iter().zip(allowed);
    let (mut all, mut nothing) = (true, true);
    for (_, allowed) in matched.filter(|(topic, _)| is_matched(topic)) {
        match allowed {
            true => nothing = false,
            false => all = false,
        }
    }
    let expected = match (all, nothing) {
        (true, true) => return,
        (true, false) => Reach::All,
        (false, true) => Reach::Nothing,
        (false, false) => Reach::Some,
    };
    // Some topics are looked at where there are too many: then only a contradiction is one.
    if world.is_whole || expected == Reach::Some {
        assert_eq!(said, expected, "{right:?} {filter:?} {user:?}");
    } else {
        assert!(said == expected || said == Reach::Some, "{right:?} {filter:?} {user:?}");
    }
    let explained = grant.explain_filter(right, filter);
    explains(&explained, said, rules, user, text, |_| true);
}

/// Refuses an explanation with a rule that is none of the user's, or is about something else.
fn explains(
    explained: &Explanation,
    reach: Reach,
    rules: &Rules,
    user: &User,
    text: &str,
    is_about: impl Fn(&str) -> bool,
) {
    assert_eq!(explained.reach, reach);
    for (found, list) in [(&explained.allow, &rules.allow), (&explained.deny, &rules.deny)] {
        match found {
            Some(RuleName { filter, line, .. }) => {
                let filter = filter.replace("{user}", &user.name);
                assert!(list.contains(&filter) && is_about(&filter), "{filter:?} {user:?}");
                assert!((1..=lines(text)).contains(line), "line {line}");
            }
            None if reach == Reach::All => assert!(std::ptr::eq(list, &rules.deny)),
            None => {}
        }
    }
    assert!(reach == Reach::Nothing || explained.allow.is_some());
    assert!(reach != Reach::All || explained.deny.is_none());
}

fn lines(text: &str) -> usize {
    text.matches('\n').count() + 1
}

/// Refuses a mistake at a place that the text does not have, or that would spoil a log.
fn lies_within(error: &UsersError, text: &str) {
    let lines: Vec<&str> = text.split('\n').collect();
    assert!(!error.mistakes().is_empty());
    for mistake in error.mistakes() {
        let line = lines.get(mistake.line.wrapping_sub(1));
        let line = line.unwrap_or_else(|| panic!("no such line: {mistake}"));
        let columns = 1..=line.chars().count() + 1;
        assert!(columns.contains(&mistake.column), "no such column: {mistake}");
        assert!(!mistake.what.chars().any(char::is_control), "{mistake:?}");
    }
    let is_sorted = |pair: &[babelmq::access::Mistake]| {
        (pair[0].line, pair[0].column) <= (pair[1].line, pair[1].column)
    };
    assert!(error.mistakes().windows(2).all(is_sorted), "{error}");
}

/// Refuses mistakes that depend on what stands as a password: another one in its place makes the
/// same.
fn repeats_no_password(error: &UsersError, text: &str) {
    // In a text of several lines what looks like a password may be a part of something else.
    if text.contains("\"\"\"") || text.contains("'''") {
        return;
    }
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(range) = password_of(line) {
            let (start, end) = (at + range.start, at + range.end);
            let other: String = text[start..end].chars().map(next).collect();
            let other = [&text[..start], &other, &text[end..]].concat();
            let again = Policy::parse(&other).map(drop);
            assert_eq!(again.as_ref(), Err(error), "{text}\nand {other}");
        }
        at += line.len();
    }
}

/// Where the password stands in a line `password = "…"`, if that is letters and digits.
fn password_of(line: &str) -> Option<std::ops::Range<usize>> {
    let rest = line.trim_start_matches(' ').strip_prefix("password")?;
    let rest = rest.trim_start_matches(' ').strip_prefix('=')?.trim_start_matches(' ');
    let quote = rest.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    let rest = &rest[1..];
    let (password, after) = rest.split_once(quote)?;
    let is_end = matches!(after.trim_start_matches(' ').chars().next(), None | Some('\n' | '#'));
    let start = line.len() - rest.len();
    (is_end && password.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        .then(|| start..start + password.len())
}

/// Another letter or digit.
fn next(character: char) -> char {
    match character {
        'z' => 'a',
        'Z' => 'A',
        '9' => '0',
        other => char::from(other as u8 + 1),
    }
}
