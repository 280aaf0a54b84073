//! Rules as docs/users.md has them, each looked at by itself, and a world of topics small enough
//! that each of them can be.

use std::collections::BTreeSet;

use toml::de::{DeTable, DeValue};

/// Topics that a world has at most, of each length and with a leading slash or without.
const MOST: usize = 256;
const DEEPEST: usize = 4;
/// Filters of a world.
const FILTERS: usize = 12;
/// Bytes of a segment: with it all topics of a world are topics.
const SEGMENT: usize = 100;

/// The filters of a user for one right, with the name in them.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) allow: Vec<String>,
    pub(super) deny: Vec<String>,
}

impl Rules {
    /// Whether a topic is allowed: deny wins.
    pub(super) fn allow(&self, topic: &str) -> bool {
        let any = |list: &[String]| list.iter().any(|rule| is_about(rule, topic));
        any(&self.allow) && !any(&self.deny)
    }
}

/// A user of a file.
#[derive(Debug, Default)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) publish: Rules,
    pub(super) subscribe: Rules,
    pub(super) stats: bool,
    pub(super) admin: bool,
}

/// The users of a file that was accepted.
pub(super) fn users(text: &str) -> Vec<User> {
    let file = DeTable::parse(text).unwrap_or_else(|error| panic!("it was accepted: {error}"));
    let (mut users, mut roles) = (Vec::new(), None);
    for (key, value) in file.get_ref() {
        match (&**key.get_ref(), value.get_ref()) {
            ("user", DeValue::Array(found)) => users = found.iter().collect(),
            ("role", DeValue::Table(found)) => roles = Some(found),
            other => panic!("it was accepted: {other:?}"),
        }
    }
    let user = |user: &toml::Spanned<DeValue<'_>>| {
        let DeValue::Table(fields) = user.get_ref() else { panic!("it was accepted: {user:?}") };
        let mut user = User::default();
        if let Some(DeValue::String(name)) = field(fields, "name") {
            user.name = name.to_string();
        }
        for role in strings(fields, "roles") {
            let fields = roles.and_then(|roles| field(roles, &role));
            let Some(DeValue::Table(fields)) = fields else { panic!("no role {role:?}") };
            user.take(fields);
        }
        user
    };
    users.into_iter().map(user).collect()
}

impl User {
    fn take(&mut self, role: &DeTable<'_>) {
        let rules =
            |name| strings(role, name).into_iter().map(|rule| rule.replace("{user}", &self.name));
        self.publish.allow.extend(rules("publish"));
        self.publish.deny.extend(rules("deny-publish"));
        self.subscribe.allow.extend(rules("subscribe"));
        self.subscribe.deny.extend(rules("deny-subscribe"));
        self.stats |= matches!(field(role, "stats"), Some(DeValue::Boolean(true)));
        self.admin |= matches!(field(role, "admin"), Some(DeValue::Boolean(true)));
    }
}

fn field<'v, 'i>(table: &'v DeTable<'i>, name: &str) -> Option<&'v DeValue<'i>> {
    let found = table.iter().find(|(key, _)| &**key.get_ref() == name);
    found.map(|(_, value)| value.get_ref())
}

fn strings(table: &DeTable<'_>, name: &str) -> Vec<String> {
    let Some(DeValue::Array(items)) = field(table, name) else { return Vec::new() };
    let text = |item: &toml::Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::String(text) => text.to_string(),
        other => panic!("it was accepted: {other:?}"),
    };
    items.iter().map(text).collect()
}

/// Whether a filter is about a topic: docs/protocol.md, written down once more.
pub(super) fn is_about(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['#', '+']) {
        return false;
    }
    let filter = match filter {
        "#" => return true,
        "/" | "/#" => return topic.starts_with('/'),
        filter => filter.strip_suffix("/#").unwrap_or(filter),
    };
    let (wanted, topic): (Vec<_>, Vec<_>) =
        (filter.split('/').collect(), topic.split('/').collect());
    wanted.len() <= topic.len()
        && wanted.iter().zip(topic).all(|(&wanted, is)| wanted == "+" || wanted == is)
}

/// Topics of the segments that rules have, and one that no rule has.
pub(super) struct World {
    pub(super) topics: Vec<String>,
    pub(super) filters: Vec<String>,
    /// Whether what holds for these topics holds for all.
    pub(super) is_whole: bool,
}

impl World {
    pub(super) fn of(rules: &Rules) -> World {
        let all = || rules.allow.iter().chain(&rules.deny);
        let filters = filters(rules);
        let (mut segments, mut depth) = (BTreeSet::new(), 2);
        for rule in all().chain(&filters) {
            let found = || rule.split('/').filter(|segment| !["", "+", "#"].contains(segment));
            segments.extend(found());
            // An empty segment before a slash is not counted: all topics are there with it, too.
            let counted = rule.split('/').filter(|segment| !["", "#"].contains(segment));
            depth = depth.max(counted.count());
        }
        let mut other = "o".to_owned();
        while segments.contains(&*other) {
            other.push('o');
        }
        let known = segments.len();
        let mut segments: Vec<&str> =
            segments.into_iter().filter(|segment| segment.len() <= SEGMENT).take(5).collect();
        let is_whole = segments.len() == known && depth <= DEEPEST;
        segments.push(&other);
        let depth = depth.min(DEEPEST);
        let fits = |depth: &usize| segments.len().pow(*depth as u32) <= MOST;
        let deepest = (1..=depth).rev().find(fits).unwrap_or(1);
        World {
            topics: topics(&segments, deepest),
            filters,
            is_whole: is_whole && deepest == depth,
        }
    }
}

fn topics(segments: &[&str], deepest: usize) -> Vec<String> {
    let mut topics = Vec::new();
    let mut longest = vec![String::new()];
    for _ in 0..deepest {
        let longer = longest
            .iter()
            .flat_map(|before| segments.iter().map(move |segment| format!("{before}/{segment}")));
        longest = longer.collect();
        topics.extend(longest.iter().cloned());
        topics.extend(longest.iter().map(|topic| topic[1..].to_owned()));
    }
    topics
}

/// The rules as filters, and with another last segment; and what is wider than most.
fn filters(rules: &Rules) -> Vec<String> {
    let mut filters: Vec<String> = ["#", "/", "+", "+/+", "/+"].map(str::to_owned).into();
    for rule in rules.allow.iter().chain(&rules.deny) {
        filters.push(rule.clone());
        if let Some((before, _)) = rule.trim_end_matches("/#").rsplit_once('/') {
            filters.push(format!("{before}/+"));
        }
        if filters.len() >= FILTERS {
            break;
        }
    }
    filters
}
