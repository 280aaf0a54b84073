//! Rights held to their definition: segment by segment, rule by rule, and deny wins.

use proptest::prelude::*;

use crate::access::{Grant, Policy, Reach, Right};
use crate::protocol::{TopicFilter, TopicName};

/// Two roles of one user, each with allow rules and deny rules.
type Roles = [[Vec<String>; 2]; 2];

/// Segments from which topics are made: those of rules, the name, and one that no rule has.
const SEGMENTS: [&str; 6] = ["a", "b", "u", "xu", "$a", "other"];
const DEEPEST: u32 = 4;

fn grant([one, two]: &Roles) -> Grant {
    let role = |name, [allow, deny]: &[Vec<String>; 2]| {
        format!(
            "[role.{name}]\npublish = {allow:?}\ndeny-publish = {deny:?}\nsubscribe = {allow:?}\n\
             deny-subscribe = {deny:?}\n"
        )
    };
    let user = "[[user]]\nname = 'u'\ncertificate = true\nroles = ['one', 'two']\n";
    let file = user.to_owned() + &role("one", one) + &role("two", two);
    Policy::parse(&file).unwrap().user("u").unwrap().grant().clone()
}

/// Whether a rule is about a topic: docs/protocol.md, written down once more.
fn is_about(rule: &str, topic: &str) -> bool {
    let rule = rule.replace("{user}", "u");
    if topic.starts_with('$') && rule.starts_with(['#', '+']) {
        return false;
    }
    let rule = match rule.as_str() {
        "#" => return true,
        "/" | "/#" => return topic.starts_with('/'),
        rule => rule.strip_suffix("/#").unwrap_or(rule),
    };
    let (rule, topic): (Vec<_>, Vec<_>) = (rule.split('/').collect(), topic.split('/').collect());
    rule.len() <= topic.len() && (0..rule.len()).all(|at| rule[at] == "+" || rule[at] == topic[at])
}

fn is_allowed(roles: &Roles, topic: &str) -> bool {
    let any =
        |list: usize| roles.iter().any(|role| role[list].iter().any(|rule| is_about(rule, topic)));
    any(0) && !any(1)
}

/// Every topic of up to so many segments, with a leading slash and without.
fn topics() -> Vec<String> {
    let mut topics = Vec::new();
    let mut longest = vec![String::new()];
    for _ in 0..DEEPEST {
        let longer =
            longest.iter().flat_map(|before| SEGMENTS.map(|segment| format!("{before}/{segment}")));
        longest = longer.collect();
        topics.extend(longest.iter().cloned());
        topics.extend(longest.iter().map(|topic| topic[1..].to_owned()));
    }
    topics
}

fn rule() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec!["a", "b", "+", "+", "$a", "{user}", "x{user}"]);
    let segments = prop::collection::vec(segment, 0..4).prop_map(|segments| segments.join("/"));
    (segments, "/?", "(/#)?").prop_map(|(segments, before, after)| match &*segments {
        "" if before.is_empty() => "#".to_owned(),
        "" => "/".to_owned(),
        _ => format!("{before}{segments}{after}"),
    })
}

fn roles() -> impl Strategy<Value = Roles> {
    let lists = || {
        let allow = prop::collection::vec(rule(), 0..4);
        (allow, prop::collection::vec(rule(), 0..4)).prop_map(|(allow, deny)| [allow, deny])
    };
    (lists(), lists()).prop_map(|(one, two)| [one, two])
}

fn reach_by_looking(roles: &Roles, filter: &TopicFilter, topics: &[String]) -> Reach {
    let depth = filter.as_str().split('/').count();
    let is_deep = |topic: &str| filter.reaches_below() || topic.split('/').count() == depth;
    let matched = topics.iter().filter(|topic| is_about(filter.as_str(), topic) && is_deep(topic));
    let (mut all, mut nothing) = (true, true);
    for topic in matched {
        match is_allowed(roles, topic) {
            true => nothing = false,
            false => all = false,
        }
    }
    match (all, nothing) {
        (true, false) => Reach::All,
        (false, true) => Reach::Nothing,
        _ => Reach::Some,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_topic_is_allowed_as_the_definition_says(roles in roles()) {
        let grant = grant(&roles);
        for topic in topics().iter().step_by(7) {
            let name = TopicName::parse(topic).unwrap();
            prop_assert_eq!(grant.may_publish(name), is_allowed(&roles, topic), "{}", topic);
            prop_assert_eq!(grant.may_see(name), is_allowed(&roles, topic), "{}", topic);
        }
    }

    /// All topics of a small world are looked at, one segment of which no rule names: so the answer
    /// is not only on the safe side, it is the answer.
    #[test]
    fn a_filter_reaches_what_its_topics_do(
        roles in roles(),
        filters in prop::collection::vec(rule(), 6),
    ) {
        let (grant, topics) = (grant(&roles), topics());
        for filter in filters.iter().map(|filter| filter.replace("{user}", "u")) {
            let subtree = TopicFilter::parse(&filter).unwrap();
            // Without what is below, "/" matches nothing: then every answer is true.
            let alone = Some(subtree.clone().below(false)).filter(|_| filter != "/");
            for filter in [Some(subtree), alone].into_iter().flatten() {
                let expected = reach_by_looking(&roles, &filter, &topics);
                prop_assert_eq!(grant.reach(&filter), expected, "{:?}", filter);
                let explained = grant.explain_filter(Right::Publish, &filter);
                prop_assert_eq!(explained.reach, expected);
            }
        }
    }
}

/// A million and more pairs of rules would have to be compared: the answer is that there may be
/// something, and it comes soon.
#[test]
fn where_exactness_is_dear_the_answer_is_on_the_safe_side() {
    let names: Vec<String> = (0..2_000).map(|number| format!("t{number}")).collect();
    let none = || [Vec::new(), Vec::new()];
    let grant = grant(&[[names.clone(), names], none()]);
    assert_eq!(grant.reach(&TopicFilter::parse("#").unwrap()), Reach::Some);
    assert_eq!(grant.reach(&TopicFilter::parse("t5").unwrap()), Reach::Nothing);
}
