//! Snapshots against a plain copy of the moment at which each began.

use proptest::prelude::*;

use super::*;
use crate::codec::PayloadRef;
use crate::protocol::TopicFilter;
use crate::protocol::{Format, Topic};

type Shown = Vec<(String, Vec<u8>)>;

fn publish(tree: &mut Tree, snapshots: &mut Snapshots, name: &str, json: &str) {
    let topic = Topic::parse(name).unwrap();
    let payload = PayloadRef::new(json.as_bytes(), Format::Json);
    let Some(id) = tree.find(&topic) else {
        tree.store_new(topic.name(), payload);
        return;
    };
    let keep = snapshots.need(tree.held(Some(id)));
    if let Some(before) = tree.store(id, payload, keep)
        && keep
    {
        snapshots.keep(before);
    }
}

fn clear(tree: &mut Tree, snapshots: &mut Snapshots, name: &str) {
    if let Some(cleared) = tree.clear(&Topic::parse(name).unwrap()) {
        snapshots.keep(cleared);
    }
}

/// Takes what is there, as a writer does that is quick.
fn take(pieces: &Receiver<Piece>, shown: &mut Shown) {
    for piece in pieces.try_iter() {
        shown.extend(
            piece
                .values
                .iter()
                .map(|stored| (stored.topic().to_string(), stored.payload().source().to_vec())),
        );
    }
}

/// Goes on with all snapshots until they have ended. Returns what each has shown, and the steps
/// that it took.
fn finish(
    snapshots: &mut Snapshots,
    tree: &mut Tree,
    all: &[Receiver<Piece>],
) -> (Vec<Shown>, usize) {
    let mut shown = vec![Shown::new(); all.len()];
    let mut steps = 0;
    while !snapshots.is_empty() {
        snapshots.step(tree);
        steps += 1;
        for (pieces, shown) in all.iter().zip(&mut shown) {
            take(pieces, shown);
        }
        assert!(steps < 100_000, "they never end");
    }
    for (pieces, shown) in all.iter().zip(&mut shown) {
        take(pieces, shown);
        assert!(pieces.recv().is_err(), "there are no more pieces");
    }
    snapshots.step(tree);
    assert_eq!(
        (snapshots.piece_bytes, snapshots.account.held()),
        (0, 0),
        "everything is given back"
    );
    assert!(
        snapshots.lines.is_empty()
            && snapshots.line_of.is_empty()
            && snapshots.positions.is_empty()
    );
    (shown, steps)
}

/// However the tree changes under a snapshot, it shows the moment at which it began.
#[test]
fn a_snapshot_shows_one_moment() {
    let filter = TopicFilter::parse("a").unwrap();
    let count = 3 * STEP;
    for steps in 0..4 {
        let (mut tree, mut snapshots) = (Tree::default(), Snapshots::default());
        for n in 0..count {
            publish(&mut tree, &mut snapshots, &format!("a/{n}"), &n.to_string());
            publish(&mut tree, &mut snapshots, &format!("b/{n}"), "0");
        }
        let expected: Vec<_> =
            (0..count).map(|n| (format!("a/{n}"), n.to_string().into_bytes())).collect();
        let pieces = snapshots.begin(&mut tree, 0, filter.clone()).unwrap();
        let second = snapshots.begin(&mut tree, 1, filter.clone()).unwrap();
        for _ in 0..steps {
            snapshots.step(&mut tree);
        }
        for n in (0..count).step_by(3).chain(0..10).chain([0]) {
            publish(&mut tree, &mut snapshots, &format!("a/{n}"), "1000000");
            publish(&mut tree, &mut snapshots, &format!("a/new/{n}"), "1000000");
            clear(&mut tree, &mut snapshots, &format!("a/{}", n + 1));
        }
        let (shown, _) = finish(&mut snapshots, &mut tree, &[pieces, second]);
        assert_eq!(shown, [expected.clone(), expected], "after {steps} steps");
    }
}

#[test]
fn who_is_gone_leaves_no_marker_behind() {
    let (mut tree, mut snapshots) = (Tree::default(), Snapshots::default());
    publish(&mut tree, &mut snapshots, "a", "1");
    let filter = TopicFilter::parse("#").unwrap();
    let pieces = snapshots.begin(&mut tree, 0, filter.clone()).unwrap();
    let second = snapshots.begin(&mut tree, 1, filter).unwrap();
    snapshots.end(&mut tree, 0);
    assert!(pieces.recv().is_err());
    let (shown, _) = finish(&mut snapshots, &mut tree, &[second]);
    assert_eq!(shown[0].len(), 1);
    let marker = tree.mark();
    assert!(matches!(tree.behind(&marker), Some(Some(_))));
    tree.pass(&marker);
    assert!(tree.behind(&marker).is_none());
}

#[test]
fn a_connection_has_so_many_snapshots_and_no_more() {
    let (mut tree, mut snapshots) = (Tree::default(), Snapshots::default());
    publish(&mut tree, &mut snapshots, "a", "1");
    let filter = TopicFilter::parse("#").unwrap();
    let mut begin =
        |snapshots: &mut Snapshots, slot| snapshots.begin(&mut tree, slot, filter.clone());
    let first: Vec<_> = (0..MAX_SNAPSHOTS).map(|_| begin(&mut snapshots, 0).unwrap()).collect();
    assert_eq!(begin(&mut snapshots, 0).unwrap_err(), TooMany::OfThisConnection);
    let second = begin(&mut snapshots, 1).unwrap();
    // A reader that does not take the pieces any more needs no more steps.
    drop(first);
    let (shown, steps) = finish(&mut snapshots, &mut tree, &[second]);
    assert_eq!(shown[0].len(), 1);
    assert!(steps <= MAX_SNAPSHOTS + 2, "{steps} steps");
}

/// Where all together have as many as there may be, whoever has most is in the way, and where
/// nobody has more than the others, there is no more.
#[test]
fn all_connections_have_so_many_snapshots_and_no_more() {
    let (mut tree, mut snapshots) = (Tree::default(), Snapshots::default());
    publish(&mut tree, &mut snapshots, "a", "1");
    let filter = TopicFilter::parse("#").unwrap();
    let mut pieces = Vec::new();
    for n in 0..MAX_ALL_SNAPSHOTS {
        // The first has three, the others one each.
        let slot = n.saturating_sub(2) as Slot;
        pieces.push(snapshots.begin(&mut tree, slot, filter.clone()).unwrap());
    }
    let newcomer = 10_000;
    assert_eq!(
        snapshots.begin(&mut tree, newcomer, filter.clone()).unwrap_err(),
        TooMany::While(0)
    );
    assert_eq!(snapshots.begin(&mut tree, 0, filter.clone()).unwrap_err(), TooMany::OfAll);
    snapshots.end(&mut tree, 0);
    for slot in newcomer..newcomer + 3 {
        pieces.push(snapshots.begin(&mut tree, slot, filter.clone()).unwrap());
    }
    assert_eq!(snapshots.begin(&mut tree, newcomer + 3, filter).unwrap_err(), TooMany::OfAll);
}

/// What is overwritten is kept once, whatever the number of snapshots, and nothing happens for who
/// does not read.
#[test]
fn values_are_kept_once_for_all_who_do_not_read() {
    let (mut tree, mut snapshots) = (Tree::default(), Snapshots::default());
    let count = 20 * STEP;
    let write = |tree: &mut Tree, snapshots: &mut Snapshots| {
        for n in 0..count {
            publish(tree, snapshots, &format!("a/{n}"), "1");
        }
    };
    write(&mut tree, &mut snapshots);
    let filter = TopicFilter::parse("#").unwrap();
    let mut pieces = Vec::new();
    for slot in 0..4 {
        for _ in 0..60 {
            pieces.push(snapshots.begin(&mut tree, slot, filter.clone()).unwrap());
        }
    }
    let mut shown = 0;
    while snapshots.can_go_on() {
        shown += snapshots.step(&mut tree);
    }
    assert!(
        shown > 0 && shown <= 4 * MAX_PIECES * STEP,
        "nobody has more than two pieces: {shown}"
    );
    for _ in 0..3 {
        write(&mut tree, &mut snapshots);
    }
    assert_eq!(snapshots.kept().0, count);
    let most = (count + shown) * (OVERHEAD + 10);
    assert!(snapshots.account.held() <= most, "{} of {most} bytes", snapshots.account.held());
    // A reader sees the moment, and then the next of its snapshots goes on.
    let (shown, _) = finish(&mut snapshots, &mut tree, &pieces);
    assert!(shown.iter().all(|shown| shown.len() == count));
}

/// The snapshot that is furthest behind is the one for which most is kept.
#[test]
fn what_is_kept_is_charged_and_who_is_furthest_behind_is_known() {
    let share = Share::new(256 << 10);
    let (mut tree, mut snapshots) = (Tree::default(), Snapshots::new(&share));
    for n in 0..2_000 {
        publish(&mut tree, &mut snapshots, &format!("a/{n}"), "100000");
    }
    let filter = TopicFilter::parse("#").unwrap();
    let behind = snapshots.begin(&mut tree, 7, filter.clone()).unwrap();
    let mut pieces = vec![snapshots.begin(&mut tree, 8, filter).unwrap()];
    for _ in 0..10 {
        snapshots.step(&mut tree);
        take(&pieces[0], &mut Shown::new());
    }
    assert_eq!(snapshots.furthest_behind(), Some(7));
    assert!(!snapshots.is_over());
    for n in 0..2_000 {
        publish(&mut tree, &mut snapshots, &format!("a/{n}"), "200000");
    }
    while snapshots.can_go_on() && !snapshots.is_over() {
        snapshots.step(&mut tree);
    }
    assert!(snapshots.is_over() && share.used() > share.limit() / 2);
    snapshots.end(&mut tree, 7);
    drop(behind);
    assert!(!snapshots.is_over(), "what nobody needs is not counted");
    finish(&mut snapshots, &mut tree, &std::mem::take(&mut pieces));
    assert_eq!(share.used(), 0);
}

/// A piece has so many bytes; a longer value goes alone, when nothing else is on its way.
#[test]
fn pieces_are_bounded_in_bytes() {
    let share = Share::new(1 << 20);
    let (mut tree, mut snapshots) = (Tree::default(), Snapshots::new(&share));
    for n in 0..100 {
        publish(&mut tree, &mut snapshots, &format!("a/{n}"), &"1".repeat(10_000));
    }
    publish(&mut tree, &mut snapshots, "b", &"1".repeat(2 << 20));
    let filter = TopicFilter::parse("#").unwrap();
    let stalled: Vec<_> =
        (0..100).map(|slot| snapshots.begin(&mut tree, slot, filter.clone()).unwrap()).collect();
    while snapshots.can_go_on() {
        snapshots.step(&mut tree);
        assert!(snapshots.piece_bytes <= share.limit() / 2, "{} bytes", snapshots.piece_bytes);
    }
    assert!(!snapshots.hungry.is_empty());
    // A snapshot that waits for memory is not the one that is behind.
    let behind = snapshots.furthest_behind().unwrap();
    assert!(snapshots.lines[&snapshots.line_of[&behind]].pieces > 0, "{behind}");
    // All of them come by everything when they read.
    let (shown, _) = finish(&mut snapshots, &mut tree, &stalled);
    for shown in shown {
        assert_eq!((shown.len(), shown[100].1.len()), (101, 2 << 20));
    }
}

/// Readers that stall have all the memory for pieces, and one that comes then is served.
#[test]
fn readers_that_stall_hold_nobody_up_whose_values_are_short() {
    let share = Share::new(256 << 10);
    let (mut tree, mut snapshots) = (Tree::default(), Snapshots::new(&share));
    for n in 0..500 {
        publish(&mut tree, &mut snapshots, &format!("long/{n}"), &"1".repeat(3_000));
        publish(&mut tree, &mut snapshots, &format!("short/{n}"), "1");
    }
    let begin = |snapshots: &mut Snapshots, tree: &mut Tree, slot, filter| {
        snapshots.begin(tree, slot, TopicFilter::parse(filter).unwrap()).unwrap()
    };
    let stalled: Vec<_> =
        (0..200).map(|slot| begin(&mut snapshots, &mut tree, slot, "long")).collect();
    while snapshots.can_go_on() {
        snapshots.step(&mut tree);
    }
    let most = share.limit() / 2 + stalled.len() * SMALLEST_PIECE;
    assert!((share.limit() / 2..=most).contains(&share.used()), "{} bytes", share.used());
    let reader = begin(&mut snapshots, &mut tree, 200, "short");
    let mut shown = Shown::new();
    while snapshots.line_of.contains_key(&200) {
        assert!(snapshots.can_go_on(), "it waits behind {} values", shown.len());
        snapshots.step(&mut tree);
        take(&reader, &mut shown);
    }
    assert_eq!(shown.len(), 500);
    drop(stalled);
}

#[derive(Clone, Debug)]
enum Action {
    Publish { topic: usize, times: usize },
    Clear(usize),
    Begin { slot: Slot, filter: usize },
    Step(usize),
    Read(usize),
    End(Slot),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        4 => (0..60_usize, 1..40_usize).prop_map(|(topic, times)| Action::Publish { topic, times }),
        2 => (0..60_usize).prop_map(Action::Clear),
        2 => (0..4_u32, 0..3_usize).prop_map(|(slot, filter)| Action::Begin { slot, filter }),
        3 => (1..4_usize).prop_map(Action::Step),
        3 => (0..20_usize).prop_map(Action::Read),
        1 => (0..4_u32).prop_map(Action::End),
    ];
    prop::collection::vec(action, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Snapshots that begin, go on and end at any time show what was stored when they began, in the
    /// order of publication.
    #[test]
    fn snapshots_show_what_a_copy_of_the_moment_would(actions in actions(), share in 2_000..200_000_usize) {
        let filters = ["#", "a", "b/3"].map(|filter| TopicFilter::parse(filter).unwrap());
        let share = Share::new(share);
        let (mut tree, mut snapshots) = (Tree::default(), Snapshots::new(&share));
        // The model: what is stored, in the order of publication.
        let mut stored: Vec<(String, Vec<u8>)> = Vec::new();
        let mut under_way: Vec<(Slot, Receiver<Piece>, Shown, Shown)> = Vec::new();
        let mut number = 0;
        for action in actions {
            match action {
                Action::Publish { topic, times } => for topic in topic..topic + times {
                    let name = format!("{}/{topic}", ["a", "b"][topic % 2]);
                    number += 1;
                    let json = number.to_string().repeat(1 + topic % 7 * 9);
                    publish(&mut tree, &mut snapshots, &name, &json);
                    stored.retain(|(other, _)| *other != name);
                    stored.push((name, json.into_bytes()));
                },
                Action::Clear(topic) => {
                    let name = format!("{}/{topic}", ["a", "b"][topic % 2]);
                    clear(&mut tree, &mut snapshots, &name);
                    stored.retain(|(other, _)| *other != name);
                }
                Action::Begin { slot, filter } => {
                    let filter = &filters[filter];
                    if let Ok(pieces) = snapshots.begin(&mut tree, slot, filter.clone()) {
                        let matches = |(name, _): &&(String, Vec<u8>)| {
                            filter.matches(Topic::parse(name).unwrap().name())
                        };
                        let expected = stored.iter().filter(matches).cloned().collect();
                        under_way.push((slot, pieces, Shown::new(), expected));
                    }
                }
                Action::Step(steps) => for _ in 0..steps {
                    snapshots.step(&mut tree);
                },
                Action::Read(which) => if let Some((_, pieces, shown, _)) = under_way.get_mut(which) {
                    take(pieces, shown);
                },
                Action::End(slot) => {
                    snapshots.end(&mut tree, slot);
                    under_way.retain(|(other, ..)| *other != slot);
                }
            }
            // What is kept is no more than what somebody has still to see.
            let needed: usize = under_way.iter().map(|(.., expected)| expected.len()).sum();
            prop_assert!(snapshots.kept.len() <= needed + STALE);
        }
        let (receivers, rest): (Vec<_>, Vec<_>) = under_way
            .into_iter()
            .map(|(_, pieces, shown, expected)| (pieces, (shown, expected)))
            .unzip();
        let (last, _) = finish(&mut snapshots, &mut tree, &receivers);
        for (last, (mut shown, expected)) in last.into_iter().zip(rest) {
            shown.extend(last);
            let same = shown == expected;
            prop_assert!(same, "{} values shown, {} expected", shown.len(), expected.len());
        }
        prop_assert_eq!(share.used(), 0);
    }
}
