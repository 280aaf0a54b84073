//! Topics and their last values, published and cleared.

use super::*;
use crate::protocol::{Format, Topic, TopicFilter};

fn publish(tree: &mut Tree, name: &str, json: &str) {
    let topic = Topic::parse(name).unwrap();
    let payload = PayloadRef::new(json.as_bytes(), Format::Json);
    if let Some(id) = tree.find(&topic) {
        tree.store(id, payload, false);
    } else {
        tree.store_new(topic.name(), payload);
    }
}

const ALL: usize = 1_000;

fn names(tree: &Tree, filter: &str) -> Vec<String> {
    let filter = TopicFilter::parse(filter).unwrap();
    tree.snapshot(&filter.into(), ALL, usize::MAX)
        .unwrap()
        .iter()
        .map(|stored| stored.topic().to_string())
        .collect()
}

#[test]
fn a_snapshot_is_a_subtree_in_the_order_of_publication() {
    let mut tree = Tree::default();
    for name in ["/b/c", "/a", "b", "/b", "/b/c/d", "/bc", "/a"] {
        publish(&mut tree, name, "1");
    }
    assert_eq!(names(&tree, "/b"), ["/b/c", "/b", "/b/c/d"]);
    assert_eq!(names(&tree, "#"), ["/b/c", "b", "/b", "/b/c/d", "/bc", "/a"]);
    assert_eq!(names(&tree, "/"), ["/b/c", "/b", "/b/c/d", "/bc", "/a"]);
    assert_eq!(names(&tree, "+"), ["/b/c", "b", "/b", "/b/c/d", "/bc", "/a"]);
    assert_eq!(names(&tree, "/+/c"), ["/b/c", "/b/c/d"]);
    assert_eq!(names(&tree, "/b/+/+"), ["/b/c/d"]);
    assert_eq!(names(&tree, "/nothing"), [""; 0]);
    let all = TopicFilter::parse("#").unwrap();
    let listed: Vec<String> =
        tree.topics(&all.into(), ALL).unwrap().iter().map(Topic::to_string).collect();
    assert_eq!(listed, ["/a", "/b", "/b/c", "/b/c/d", "/bc", "b"]);
}

#[test]
fn a_wildcard_finds_nothing_of_the_brokers_own_and_a_filter_may_leave_out_what_is_below() {
    let mut tree = Tree::default();
    for name in ["a", "a/b", "a/b/c", "d/b", "$dead/a", "$dead/a/b", "$SYS"] {
        publish(&mut tree, name, "1");
    }
    assert_eq!(names(&tree, "#"), ["a", "a/b", "a/b/c", "d/b"]);
    assert_eq!(names(&tree, "+/+/b"), [""; 0]);
    assert_eq!(names(&tree, "+/b"), ["a/b", "a/b/c", "d/b"]);
    assert_eq!(names(&tree, "$dead"), ["$dead/a", "$dead/a/b"]);
    assert_eq!(names(&tree, "$dead/+/b"), ["$dead/a/b"]);
    let alone = |filter: &str| {
        let filter = TopicFilter::parse(filter).unwrap().below(false);
        let topics = tree.topics(&filter.into(), ALL).unwrap();
        topics.iter().map(Topic::to_string).collect::<Vec<_>>()
    };
    assert_eq!([alone("a"), alone("+"), alone("a/+")], [["a"], ["a"], ["a/b"]]);
    assert_eq!(alone("+/b"), ["a/b", "d/b"]);
    assert_eq!([alone("#"), alone("a/#")].map(|found| found.len()), [4, 3]);
    assert_eq!([alone("$dead"), alone("/")], [[""; 0], [""; 0]]);
    assert_eq!(alone("$dead/#").len(), 2);
}

#[test]
fn a_cleared_topic_leaves_nothing_behind() {
    let mut tree = Tree::default();
    for name in ["/a/b/c", "/a/b/d", "/a/x", "/a"] {
        publish(&mut tree, name, "12");
    }
    let clear = |tree: &mut Tree, name: &str| tree.clear(&Topic::parse(name).unwrap()).is_some();
    assert!(!clear(&mut tree, "/a/b"));
    assert!(clear(&mut tree, "/a/b/d"));
    assert!(!clear(&mut tree, "/a/b/d"));
    assert!(clear(&mut tree, "/a"));
    assert_eq!(names(&tree, "#"), ["/a/b/c", "/a/x"]);
    assert!(clear(&mut tree, "/a/b/c"));
    assert_eq!(names(&tree, "#"), ["/a/x"]);
    assert!(clear(&mut tree, "/a/x"));
    assert_eq!((tree.values(), tree.bytes(), tree.names.len()), (0, 0, 0));
    assert_eq!(tree.nodes.len(), 1, "the root");
    publish(&mut tree, "/a/b", "1");
    assert_eq!(names(&tree, "/a"), ["/a/b"]);
}

/// Whatever is above a new topic already: nothing, all of it, or a part.
#[test]
fn what_is_missing_above_a_new_topic_is_made_and_counted() {
    let deep = |depth: usize| format!("/{}", vec!["s"; depth].join("/"));
    let alone = |name: &str| {
        let mut tree = Tree::default();
        publish(&mut tree, name, "1");
        tree.cost()
    };
    let whole = alone(&deep(MAX_TOPIC_SEGMENTS));
    for above in [1, 2, 3, 31, 32, MAX_TOPIC_SEGMENTS - 1] {
        let mut tree = Tree::default();
        publish(&mut tree, &deep(above), "1");
        let more = whole - (alone(&deep(above)) - 1);
        let topic = Topic::parse(&deep(MAX_TOPIC_SEGMENTS)).unwrap();
        let room = |bytes| StoreLimits { values: 9, bytes: tree.cost() + bytes };
        assert!(tree.has_room(None, topic.name(), 1, &room(more)), "{above} are there");
        assert!(!tree.has_room(None, topic.name(), 1, &room(more - 1)), "{above} are there");
        publish(&mut tree, topic.as_str(), "1");
        assert_eq!((tree.cost(), tree.names.len()), (whole + 1, MAX_TOPIC_SEGMENTS + 1));
        assert_eq!(names(&tree, &deep(MAX_TOPIC_SEGMENTS - 1)).last(), Some(&topic.to_string()));
        tree.clear(&topic);
        assert_eq!(tree.names.len(), above + 1, "the others are gone with it");
    }
}

#[test]
fn a_value_that_is_being_sent_is_not_overwritten() {
    let mut tree = Tree::default();
    publish(&mut tree, "t", "1");
    let sending = tree.snapshot(&TopicFilter::parse("t").unwrap().into(), ALL, usize::MAX).unwrap();
    publish(&mut tree, "t", "22");
    assert_eq!(sending[0].payload().source(), b"1");
    assert_eq!(tree.get(&Topic::parse("t").unwrap()).unwrap().payload().source(), b"22");
    assert_eq!((tree.values(), tree.bytes()), (1, 2));
}

/// Among those that are approached are topics that are new, known, and there twice.
#[test]
fn who_is_approached_is_found_as_ever() {
    let mut tree = Tree::default();
    let topics: Vec<Topic> =
        (0..40).map(|n| Topic::parse(&format!("a/{}", n * 7 % 30)).unwrap()).collect();
    for topic in topics.iter().step_by(3) {
        publish(&mut tree, topic.as_str(), "1");
    }
    let names = |from: usize| topics[from..].iter().map(Topic::name);
    for first in [0, 5, 39] {
        let approach = tree.approach(first, names(first));
        for (index, topic) in topics.iter().enumerate() {
            let found = tree.find_approached(index, topic.name(), &approach);
            assert_eq!(found, tree.find(topic), "{topic} after an approach from {first}");
        }
    }
    let marker = tree.mark();
    tree.approach_behind(&marker);
    assert!(matches!(tree.behind(&marker), Some(Some(_))));
}
