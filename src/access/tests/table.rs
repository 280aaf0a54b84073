//! Who may what: a table, read by a person first.

use crate::access::{Policy, Reach, Right};
use crate::protocol::{TopicFilter, TopicName};

const FILE: &str = r##"
    [role.sensor]
    publish = ["weather/{user}", "/raw/sensor-{user}/+/value", "status/{user}/up"]
    subscribe = ["config/all", "config/{user}", "$cmd/{user}"]

    [role.reader]
    subscribe = ["#"]
    deny-subscribe = ["secret", "config/+/password", "/private/#"]

    [role.writer]
    publish = ["#"]
    deny-publish = ["/", "archive/+/sealed", "+/+/+/+"]

    [role.nothing]
    deny-publish = ["#"]
    deny-subscribe = ["weather"]

    [role.slash]
    publish = ["/"]
    subscribe = ["/#"]

    [role.plus]
    publish = ["+/x", "a/+/+/d"]
    subscribe = ["+"]

    [[user]]
    name = "oslo"
    certificate = true
    roles = ["sensor"]

    [[user]]
    name = "rome"
    certificate = true
    roles = ["sensor", "reader"]

    [[user]]
    name = "ada"
    certificate = true
    roles = ["reader", "writer"]

    [[user]]
    name = "bob"
    certificate = true
    roles = ["writer", "sensor", "nothing"]

    [[user]]
    name = "anonymous"
    roles = ["plus"]

    [[user]]
    name = "sla"
    certificate = true
    roles = ["slash"]

    [[user]]
    name = "dead"
    certificate = true
    roles = ["reader", "dead"]

    [role.dead]
    subscribe = ["$dead/#"]

    [[user]]
    name = "idle"
    certificate = true
"##;

/// Of a user: the topics that the user may publish to, or see, and those that are denied.
const TOPICS: &[(&str, Right, &str, &str)] = &[
    (
        "oslo",
        Right::Publish,
        "weather/oslo weather/oslo/wind weather/oslo/wind/gusts /raw/sensor-oslo/1/value \
         /raw/sensor-oslo/x/value/unit status/oslo/up status/oslo/up/since",
        "weather weather/rome /weather/oslo weather/oslo2 weather/osl Weather/oslo weather/{user} \
         raw/sensor-oslo/1/value /raw/sensor-rome/1/value /raw/oslo/1/value /raw/sensor-oslo/value \
         /raw/sensor-oslo/1 status/oslo status/oslo/down config/all config/oslo $cmd/oslo oslo",
    ),
    (
        "oslo",
        Right::Subscribe,
        "config/all config/all/x config/oslo config/oslo/password $cmd/oslo $cmd/oslo/reboot",
        "config config/rome weather/oslo weather $cmd $cmd/rome /config/all secret x status/oslo/up",
    ),
    (
        "rome",
        Right::Publish,
        "weather/rome weather/rome/rain /raw/sensor-rome/a/value status/rome/up",
        "weather/oslo a secret config/rome /raw/sensor-rome/a status/rome",
    ),
    (
        "rome",
        Right::Subscribe,
        "a a/b /a weather/oslo weather/rome config config/rome config/x config/x/passwords secrets \
         secret2/a /secret private private/a $cmd/rome x/secret config/password /priv",
        "secret secret/a secret/a/b config/rome/password config/x/password config/x/password/old \
         config/all/password /private /private/a /private/a/b $cmd $cmd/oslo",
    ),
    (
        "ada",
        Right::Publish,
        "a a/b a/b/c weather archive archive/x archive/sealed archive/x/open secret secret/key \
         config/x/password",
        "$cmd /a /a/b /a/b/c/d archive/x/sealed archive/y/sealed/z a/b/c/d a/b/c/d/e archive/a/sealed",
    ),
    (
        "ada",
        Right::Subscribe,
        "a /a a/b/c/d archive/x/sealed weather config/x",
        "secret secret/key config/x/password /private $cmd",
    ),
    (
        "bob",
        Right::Publish,
        "",
        "a /a weather/bob weather a/b/c status/bob/up /raw/sensor-bob/1/value archive",
    ),
    (
        "bob",
        Right::Subscribe,
        "config/all config/bob $cmd/bob config/bob/x",
        "weather weather/bob a config/oslo $cmd secret",
    ),
    (
        "anonymous",
        Right::Publish,
        "a/x b/x /x a/x/y /x/y a/b/c/d a/x/c/d a/b/c/d/e {user}/x ü/x",
        "a x a/b a/b/x x/a a/b/c a/b/c/e b/b/c/d /a/x /a/b/c/d x/y",
    ),
    ("anonymous", Right::Subscribe, "a a/b /a /a/b a/b/c/d/e/f/g", "$x $x/y"),
    ("sla", Right::Publish, "/a /a/b /a/b/c /x", "a a/b x $x"),
    ("sla", Right::Subscribe, "/a /a/b /secret", "a a/b secret"),
    ("dead", Right::Subscribe, "$dead $dead/x/y a x/$dead", "$SYS $SYS/x $deadly secret"),
    ("idle", Right::Publish, "", "a /a weather/idle idle {user}"),
    ("idle", Right::Subscribe, "", "a /a weather/idle idle config/all"),
];

/// Of a user: the filters that are allowed as a whole, in part, and not at all.
const FILTERS: &[(&str, Right, &str, &str, &str)] = &[
    (
        "oslo",
        Right::Subscribe,
        "config/all config/all/# config/oslo config/oslo/+ config/all/+/x $cmd/oslo",
        "# + config config/# config/+ +/oslo +/all $cmd +/+ +/+/x config/+/password",
        "/ /# weather config/rome config/rome/+ +/rome config/x/all /+/oslo a/+ oslo $cmd/rome",
    ),
    (
        "oslo",
        Right::Publish,
        "weather/oslo weather/oslo/# weather/oslo/+ /raw/sensor-oslo/+/value status/oslo/up",
        "# + weather weather/+ / /raw /raw/+ /raw/+/1 status +/oslo status/+/up /raw/sensor-oslo",
        "weather/rome status/oslo/down status/rome /raw/sensor-rome /raw/x/1/value config a +/rome",
    ),
    (
        "rome",
        Right::Subscribe,
        "a a/+ weather config/rome/x config/+/x private private/+ $cmd/rome",
        "# + $cmd / /+ +/+ +/secret/x2/+ config config/# config/+ config/rome +/+/password +/a",
        "secret secret/# secret/+/x config/+/password config/a/password/+ /private /private/# $cmd/oslo",
    ),
    (
        "ada",
        Right::Publish,
        "",
        "# + a a/b a/b/c a/+/c archive archive/+ archive/x +/+/sealed",
        "/ /a /+ a/b/c/d a/+/+/+ +/+/+/+/e archive/x/sealed archive/+/sealed /a/b",
    ),
    ("bob", Right::Publish, "", "", "# + a weather/bob / status/bob/up"),
    ("bob", Right::Subscribe, "config/bob config/all $cmd/bob", "# + config +/bob", "weather a /"),
    ("anonymous", Right::Subscribe, "# + a / /a +/+ /+", "", ""),
    (
        "anonymous",
        Right::Publish,
        "+/x a/x /x a/+/+/d a/b/c/d b/x/#",
        "# + a / a/+ a/b +/+/c",
        "x/y /a/x b/c",
    ),
    ("sla", Right::Subscribe, "/ /# /+ /a /a/+", "# + +/a", "a a/+ x"),
    (
        "dead",
        Right::Subscribe,
        "$dead $dead/# $dead/+/x a",
        "# + +/+",
        "secret $SYS $SYS/+ $deadly",
    ),
    ("idle", Right::Subscribe, "", "", "# + a / idle"),
];

#[test]
fn the_table_of_rights_is_what_holds() {
    let policy = Policy::parse(FILE).unwrap();
    let mut rows = 0;
    let grant = |user: &str| policy.user(user).unwrap().grant().clone();
    for (user, right, allowed, denied) in TOPICS {
        for (topics, expected) in [(allowed, true), (denied, false)] {
            for topic in topics.split_whitespace() {
                let name = TopicName::parse(topic).unwrap();
                let (grant, row) = (grant(user), format!("{user} {right:?} {topic}"));
                assert_eq!(grant.may(*right, name), expected, "{row}");
                let explained = grant.explain(*right, name);
                assert_eq!(explained.reach == Reach::All, expected, "{row}: {explained:?}");
                assert_eq!(expected, explained.allow.is_some() && explained.deny.is_none());
                // A topic is not allowed more than the filter of its name, nor less.
                let below = grant.reach_of(*right, &TopicFilter::parse(topic).unwrap());
                assert!(
                    if expected { below != Reach::Nothing } else { below != Reach::All },
                    "{row}"
                );
                rows += 1;
            }
        }
    }
    for (user, right, all, some, nothing) in FILTERS {
        for (filters, expected) in
            [(all, Reach::All), (some, Reach::Some), (nothing, Reach::Nothing)]
        {
            for filter in filters.split_whitespace() {
                let filter = TopicFilter::parse(filter).unwrap();
                let row = format!("{user} {right:?} {filter}");
                assert_eq!(grant(user).reach_of(*right, &filter), expected, "{row}");
                let explained = grant(user).explain_filter(*right, &filter);
                assert_eq!(explained.reach, expected, "{row}");
                assert!(expected == Reach::Nothing || explained.allow.is_some(), "{row}");
                rows += 1;
            }
        }
    }
    assert!(rows >= 300, "only {rows} rows");
}

#[test]
fn an_explanation_names_the_rule_as_it_stands_in_the_file() {
    let policy = Policy::parse(FILE).unwrap();
    let grant = policy.user("rome").unwrap().grant();
    let explained = grant.explain(Right::Subscribe, TopicName::parse("config/x/password").unwrap());
    let said = explained.deny.map(|rule| rule.to_string());
    assert_eq!(
        said.as_deref(),
        Some("role \"reader\", deny-subscribe \"config/+/password\" (line 8)")
    );
    let explained = grant.explain(Right::Publish, TopicName::parse("weather/rome/x").unwrap());
    let said = explained.allow.map(|rule| rule.to_string());
    assert_eq!(said.as_deref(), Some("role \"sensor\", publish \"weather/{user}\" (line 3)"));
}
