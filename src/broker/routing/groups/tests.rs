use proptest::prelude::*;

use super::*;
use crate::access::Policy;
use crate::protocol::Topic;

const TOPICS: [&str; 3] = ["a", "b", "c"];
/// What members may see: everything, or by their user's rules.
const SIGHTS: [&[&str]; 3] = [&["a", "b", "c"], &["a", "b"], &["c"]];
const GROUPS: usize = 2;
const MEMBERS: usize = 6;

#[derive(Clone, Debug)]
enum Op {
    Join { group: usize, member: Slot, sight: usize },
    Quit { group: usize, member: Slot },
    Limit { group: usize, member: Slot, sight: usize },
    Away { group: usize, member: Slot, is_away: bool },
    Publish { group: usize, topics: Vec<usize>, full: Vec<bool> },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let (group, member, sight) = (0..GROUPS, 0..MEMBERS as Slot, 0..SIGHTS.len());
    let op = prop_oneof![
        4 => (group.clone(), member.clone(), sight.clone())
            .prop_map(|(group, member, sight)| Op::Join { group, member, sight }),
        2 => (group.clone(), member.clone())
            .prop_map(|(group, member)| Op::Quit { group, member }),
        1 => (group.clone(), member.clone(), sight)
            .prop_map(|(group, member, sight)| Op::Limit { group, member, sight }),
        2 => (group.clone(), member, any::<bool>())
            .prop_map(|(group, member, is_away)| Op::Away { group, member, is_away }),
        6 => (
            group,
            prop::collection::vec(0..TOPICS.len(), 1..6),
            prop::collection::vec(prop::bool::weighted(0.3), MEMBERS),
        )
            .prop_map(|(group, topics, full)| Op::Publish { group, topics, full }),
    ];
    prop::collection::vec(op, 1..80)
}

/// What the members of a group may see, and whether they are away.
type Model = HashMap<Slot, (usize, bool)>;

/// Who may get a message, as a list says that knows no turns.
fn eligible(model: &Model, topic: &str, full: &[bool]) -> Vec<Slot> {
    let sees = |(_, (sight, _)): &(&Slot, &(usize, bool))| SIGHTS[*sight].contains(&topic);
    let seeing: Vec<(&Slot, &(usize, bool))> = model.iter().filter(sees).collect();
    let are_away = seeing.iter().all(|(_, (_, is_away))| *is_away);
    let there = seeing.iter().filter(|(_, (_, is_away))| *is_away == are_away);
    let there: Vec<Slot> = there.map(|(slot, _)| **slot).collect();
    let with_room: Vec<Slot> = there.iter().copied().filter(|slot| !full[*slot as usize]).collect();
    if with_room.is_empty() { there } else { with_room }
}

fn member(slot: Slot) -> Member {
    let chosen = Arc::new(Chosen { group: "g".into(), mark: u64::from(slot) });
    Member { slot, dialect: Dialect::Json, chosen }
}

fn name(group: usize) -> Arc<str> {
    format!("group {group}").into()
}

/// The slot of a group, which is no member's.
fn slot_of(group: usize) -> Slot {
    (100 + group) as Slot
}

fn divide(
    groups: &mut Groups,
    group: usize,
    topics: &[&str],
    has_room: impl Fn(Slot) -> bool,
) -> Vec<Given> {
    let topics: Vec<Topic> = topics.iter().map(|topic| Topic::parse(topic).unwrap()).collect();
    let messages = topics.iter().enumerate().map(|(at, topic)| (at as u32, topic.name()));
    groups.divide(slot_of(group), messages, has_room, false)
}

proptest! {
    /// Every message goes to exactly one of those who may get it, of each group that is there.
    #[test]
    fn a_message_goes_to_one_of_those_who_may_get_it(ops in ops()) {
        let policy = Policy::parse(
            "[[user]]\nname = 'ab'\nroles = ['ab']\ntoken-sha256 = \
             '0000000000000000000000000000000000000000000000000000000000000000'\n\
             [[user]]\nname = 'c'\nroles = ['c']\ntoken-sha256 = \
             '0000000000000000000000000000000000000000000000000000000000000001'\n\
             [role.ab]\nsubscribe = ['a', 'b']\n[role.c]\nsubscribe = ['c']\n",
        ).unwrap();
        let grant = |name| policy.user(name).unwrap().grant().clone();
        let limits = [None, Some(grant("ab")), Some(grant("c"))];
        let filter = TopicFilter::parse("#").unwrap();
        let mut groups = Groups::default();
        let mut models: [Model; GROUPS] = Default::default();
        for op in ops {
            match op {
                Op::Join { group, member: slot, sight } => {
                    let limit = limits[sight].clone();
                    groups.join(slot_of(group), (&name(group), &filter), member(slot), limit);
                    models[group].insert(slot, (sight, false));
                }
                Op::Quit { group, member } => {
                    let was_there = models[group].remove(&member).is_some();
                    let gone = groups.quit(slot_of(group), member);
                    let is_last = was_there && models[group].is_empty();
                    prop_assert_eq!(gone, is_last.then(|| filter.clone()));
                }
                Op::Limit { group, member, sight } => {
                    groups.limit(slot_of(group), member, limits[sight].clone());
                    models[group].entry(member).and_modify(|(before, _)| *before = sight);
                }
                Op::Away { group, member, is_away } => {
                    groups.set_away(slot_of(group), member, is_away);
                    models[group].entry(member).and_modify(|(_, before)| *before = is_away);
                }
                Op::Publish { group, topics, full } => {
                    let topics: Vec<&str> = topics.iter().map(|topic| TOPICS[*topic]).collect();
                    let given =
                        divide(&mut groups, group, &topics, |slot| !full[slot as usize]);
                    let mut takers = vec![None; topics.len()];
                    for Given { member: taker, messages } in given {
                        prop_assert_eq!(&taker, &member(taker.slot));
                        prop_assert!(messages.is_sorted() && !messages.is_empty());
                        for message in messages {
                            prop_assert_eq!(takers[message as usize].replace(taker.slot), None);
                        }
                    }
                    for (topic, taker) in topics.iter().zip(takers) {
                        let all = eligible(&models[group], topic, &full);
                        match taker {
                            Some(taker) => prop_assert!(all.contains(&taker), "{:?}", all),
                            None => prop_assert!(all.is_empty(), "{:?}", all),
                        }
                        let topic = Topic::parse(topic).unwrap();
                        let sees =
                            |(it, _): &&(usize, bool)| SIGHTS[*it].contains(&topic.as_str());
                        let seeing = models[group].values().filter(sees).count();
                        let told = groups.members_for(slot_of(group), topic.name()).count();
                        prop_assert_eq!(told, seeing);
                    }
                }
            }
            let are_there = models.iter().filter(|model| !model.is_empty()).count();
            let members = models.iter().map(HashMap::len).sum::<usize>();
            prop_assert_eq!((groups.len(), groups.members()), (are_there, members));
            for (group, model) in models.iter().enumerate() {
                let expected = (!model.is_empty()).then_some(slot_of(group));
                prop_assert_eq!(groups.find(&name(group)), expected);
            }
        }
    }

    /// As long as nobody comes or goes, all get as many, in one batch or in several.
    #[test]
    fn members_take_turns(
        members in 1..20_u32,
        batches in prop::collection::vec(1..9_usize, 1..20),
    ) {
        let mut groups = Groups::default();
        let filter = TopicFilter::parse("#").unwrap();
        for slot in 0..members {
            groups.join(slot_of(0), (&name(0), &filter), member(slot), None);
        }
        let mut counts = vec![0; members as usize];
        for messages in &batches {
            let given = divide(&mut groups, 0, &vec!["a"; *messages], |_| true);
            for Given { member, messages } in given {
                counts[member.slot as usize] += messages.len();
            }
        }
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        prop_assert!(most - least <= 1, "{:?}", counts);
        prop_assert_eq!(counts.iter().sum::<usize>(), batches.iter().sum::<usize>());
    }
}
