//! Connections that share subscriptions, beside some that do not: every message goes to all of
//! these, and to one of each group, whoever comes and goes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::broker::SMALLEST_MEMORY;
use crate::broker::delivery::{Chosen, Leftover, Leftovers};

const TOPICS: [&str; 3] = ["a", "a/b", "c"];
/// Filters without what is below.
const FILTERS: [&str; 3] = ["a", "a/#", "+"];
const DIALECTS: [Dialect; 3] = [Dialect::Json, Dialect::Xml, Dialect::Pickle];
const CLIENTS: usize = 5;

#[derive(Clone, Debug)]
enum Op {
    Subscribe {
        client: usize,
        filter: usize,
    },
    Join {
        client: usize,
        group: usize,
        filter: usize,
    },
    Quit {
        client: usize,
        group: usize,
        filter: usize,
    },
    /// Messages of one batch, by their topics.
    Publish(Vec<usize>),
    Away {
        client: usize,
        is_away: bool,
    },
    /// The connection ends, and the dispatcher is told.
    End {
        client: usize,
    },
    /// The same, and what it was given and has not read is for others.
    Retire {
        client: usize,
    },
    /// The writer ends, and the dispatcher does not know.
    Vanish {
        client: usize,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let (client, group, filter) = (0..CLIENTS, 0..2_usize, 0..FILTERS.len());
    let op = prop_oneof![
        1 => (client.clone(), filter.clone())
            .prop_map(|(client, filter)| Op::Subscribe { client, filter }),
        4 => (client.clone(), group.clone(), filter.clone())
            .prop_map(|(client, group, filter)| Op::Join { client, group, filter }),
        1 => (client.clone(), group, filter)
            .prop_map(|(client, group, filter)| Op::Quit { client, group, filter }),
        5 => prop::collection::vec(0..TOPICS.len(), 1..7).prop_map(Op::Publish),
        1 => (client.clone(), any::<bool>())
            .prop_map(|(client, is_away)| Op::Away { client, is_away }),
        1 => client.clone().prop_map(|client| Op::End { client }),
        1 => client.clone().prop_map(|client| Op::Retire { client }),
        1 => client.prop_map(|client| Op::Vanish { client }),
    ];
    prop::collection::vec(op, 1..60)
}

fn parse(filter: usize) -> TopicFilter {
    TopicFilter::parse(FILTERS[filter]).unwrap().below(false)
}

fn matches(filter: usize, topic: usize) -> bool {
    parse(filter).matches(&Topic::parse(TOPICS[topic]).unwrap())
}

fn group_name(group: usize, filter: usize) -> Arc<str> {
    format!("{group}:{filter}").into()
}

/// Messages of one byte each, which count on from the number.
fn batch(topics: &[usize], first: u8) -> Batch {
    let bytes = (0..topics.len() as u8).map(|at| first.wrapping_add(at)).collect();
    let entry = |(at, topic): (usize, &usize)| {
        let message = PayloadSpan { part: Part::Bytes(at..at + 1), document: None };
        BatchEntry::new(*topic as u32, Format::Json, &message, false, None, None)
    };
    let messages = topics.iter().enumerate().map(entry).collect();
    let topics = Topics::from_iter(TOPICS.map(|name| Topic::parse(name).unwrap()));
    Batch::new(bytes, Document::new(), topics, messages, Limits::default())
}

/// A connection as the test knows it.
struct Attached {
    id: ClientId,
    inbox: Inbox,
    plain: Vec<usize>,
    groups: Vec<(usize, usize)>,
    is_away: bool,
}

struct World {
    dispatcher: Dispatcher,
    clients: Vec<Attached>,
    ids: u64,
}

impl World {
    fn attach(&mut self) -> Attached {
        self.ids += 1;
        let id = ClientId(self.ids);
        let (outbox, inbox) = outbox(QueueLimits::default());
        let (peer, rights) = (Peer::Tcp(([127, 0, 0, 1], 1).into()), Rights::Everything);
        self.dispatcher.step(Event::Attach { client: id, peer, rights, outbox });
        Attached { id, inbox, plain: Vec::new(), groups: Vec::new(), is_away: false }
    }

    fn ask(&mut self, client: usize, control: Control) {
        let (id, queued) = (self.clients[client].id, Queued::nothing());
        let steps = vec![Step::Control(Token::default(), control)];
        self.dispatcher.step(Event::Steps { client: id, steps, queued });
        self.dispatcher.leave_on();
    }

    fn run(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Subscribe { client, filter } => {
                let dialect = DIALECTS[client % 3];
                self.ask(
                    client,
                    Control::Subscribe {
                        filter: parse(filter),
                        dialect,
                        names: None,
                        overflow: Overflow::Disconnect,
                        queue: None,
                        cleared: true,
                        values: true,
                        durable: None,
                    },
                );
                let plain = &mut self.clients[client].plain;
                plain.retain(|other| *other != filter);
                plain.push(filter);
            }
            Op::Join { client, group, filter } => {
                let (name, dialect) = (group_name(group, filter), DIALECTS[client % 3]);
                let mark = self.clients[client].id.0;
                let filter_ = parse(filter);
                self.ask(client, Control::Join { group: name, filter: filter_, dialect, mark });
                let groups = &mut self.clients[client].groups;
                groups.retain(|other| *other != (group, filter));
                groups.push((group, filter));
            }
            Op::Quit { client, group, filter } => {
                let name = group_name(group, filter);
                self.ask(client, Control::Quit { group: name, filter: parse(filter) });
                self.clients[client].groups.retain(|other| *other != (group, filter));
            }
            Op::Away { client, is_away } => {
                let (id, peer) = (self.clients[client].id, Peer::Tcp(([127, 0, 0, 1], 1).into()));
                self.dispatcher.step(match is_away {
                    true => Event::Away { client: id },
                    false => Event::Rejoin { client: id, peer },
                });
                self.clients[client].is_away = is_away;
            }
            Op::End { client } => {
                let id = self.clients[client].id;
                self.dispatcher.step(Event::Detach { client: id });
                self.dispatcher.leave_on();
                self.clients[client] = self.attach();
            }
            Op::Retire { client } => {
                self.send(&[0, 1, 2]);
                let another = self.attach();
                let Attached { id, inbox, .. } =
                    std::mem::replace(&mut self.clients[client], another);
                // One message was taken out of it.
                let mut taken = Vec::new();
                while let Some((delivery, charge)) = inbox.next_waiting() {
                    inbox.written(charge);
                    let Delivery::Messages {
                        batch, dialect, selection, chosen: Some(chosen), ..
                    } = delivery
                    else {
                        continue;
                    };
                    let group = chosen.group.clone();
                    let places = selection.wanted(&batch, dialect).map(|at| at as u32).collect();
                    taken.push(Leftover { group, batch, places });
                    break;
                }
                let leftovers = Box::new(Leftovers::new(taken, inbox));
                self.dispatcher.step(Event::Retire { client: id, leftovers });
                while !self.dispatcher.leaving.is_empty() {
                    self.dispatcher.leave_on();
                }
                self.check(&[0, 1, 2])?;
            }
            Op::Vanish { client } => {
                let another = self.attach();
                let gone = std::mem::replace(&mut self.clients[client], another);
                drop(gone.inbox);
                // It is let go of with the next message, or when its session says so.
                self.publish(&[0, 1, 2])?;
                self.dispatcher.step(Event::Detach { client: gone.id });
                self.dispatcher.leave_on();
            }
            Op::Publish(topics) => self.publish(&topics)?,
        }
        let expected: usize =
            self.clients.iter().map(|client| client.plain.len() + client.groups.len()).sum();
        prop_assert_eq!(self.dispatcher.stats().subscriptions, expected as u64);
        Ok(())
    }

    fn publish(&mut self, topics: &[usize]) -> Result<(), TestCaseError> {
        self.send(topics);
        self.check(topics)
    }

    fn send(&mut self, topics: &[usize]) {
        let steps = vec![Step::Publish(Box::new(batch(topics, 0)))];
        let (client, queued) = (ClientId(0), Queued::nothing());
        self.dispatcher.step(Event::Steps { client, steps, queued });
    }

    /// Looks at who has got what.
    fn check(&mut self, topics: &[usize]) -> Result<(), TestCaseError> {
        // Of each group, who got which message.
        let mut chosen: BTreeMap<(Arc<str>, usize), Vec<usize>> = BTreeMap::new();
        for (number, client) in self.clients.iter().enumerate() {
            let mut plain = Vec::new();
            while let Some((delivery, charge)) = client.inbox.next_waiting() {
                client.inbox.written(charge);
                let Delivery::Messages { batch, dialect, selection, chosen: by, .. } = delivery
                else {
                    continue;
                };
                prop_assert_eq!(dialect, DIALECTS[number % 3]);
                let places: Vec<usize> = selection.wanted(&batch, dialect).collect();
                match by {
                    None => plain.extend(places),
                    Some(chosen_by) => {
                        let Chosen { group, mark } = &*chosen_by;
                        prop_assert_eq!(*mark, client.id.0);
                        for place in places {
                            chosen.entry((group.clone(), place)).or_default().push(number);
                        }
                    }
                }
            }
            let wanted = |topic: &usize| client.plain.iter().any(|filter| matches(*filter, *topic));
            let expected: Vec<usize> =
                topics.iter().enumerate().filter(|(_, it)| wanted(it)).map(|(at, _)| at).collect();
            prop_assert_eq!(plain, expected);
        }
        for (group, filter) in (0..2).flat_map(|group| (0..FILTERS.len()).map(move |f| (group, f)))
        {
            let members = || {
                let all = self.clients.iter().enumerate();
                all.filter(move |(_, client)| client.groups.contains(&(group, filter)))
            };
            let are_away = members().all(|(_, client)| client.is_away);
            for (at, topic) in topics.iter().enumerate() {
                let got = chosen.remove(&(group_name(group, filter), at)).unwrap_or_default();
                let is_due = members().count() > 0 && matches(filter, *topic);
                prop_assert_eq!(got.len(), usize::from(is_due), "{} {}", group, filter);
                for number in got {
                    let mut members = members();
                    prop_assert!(
                        members.any(|(other, it)| other == number && it.is_away == are_away)
                    );
                }
            }
        }
        prop_assert!(chosen.is_empty(), "{:?}", chosen);
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_message_goes_to_one_of_each_group(ops in ops()) {
        let dispatcher = Dispatcher::default();
        let mut world = World { dispatcher, clients: Vec::new(), ids: 100 };
        for _ in 0..CLIENTS {
            let client = world.attach();
            world.clients.push(client);
        }
        for op in ops {
            world.run(op)?;
        }
        for client in 0..CLIENTS {
            world.run(Op::End { client })?;
        }
        prop_assert!(world.dispatcher.groups.is_empty());
        prop_assert_eq!(world.dispatcher.shapes().load(Ordering::Relaxed), 0);
    }
}

fn world() -> World {
    World { dispatcher: Dispatcher::default(), clients: Vec::new(), ids: 100 }
}

fn attach_with(world: &mut World, limits: QueueLimits) {
    world.ids += 1;
    let id = ClientId(world.ids);
    let (outbox, inbox) = outbox(limits);
    let (peer, rights) = (Peer::Tcp(([127, 0, 0, 1], 1).into()), Rights::Everything);
    world.dispatcher.step(Event::Attach { client: id, peer, rights, outbox });
    let attached = Attached { id, inbox, plain: Vec::new(), groups: Vec::new(), is_away: false };
    world.clients.push(attached);
}

fn join(world: &mut World, client: usize, name: &str, filter: &str) {
    let filter = TopicFilter::parse(filter).unwrap().below(false);
    let (group, dialect) = (name.into(), Dialect::Json);
    world.ask(client, Control::Join { group, filter, dialect, mark: 0 });
}

#[test]
fn a_member_whose_queue_is_full_is_passed_over() {
    let mut world = world();
    for messages in [2, 2, 100] {
        attach_with(&mut world, QueueLimits::default().messages(messages));
        let client = world.clients.len() - 1;
        join(&mut world, client, "g", "a");
    }
    for _ in 0..50 {
        world.send(&[0]);
    }
    let given = world.clients.iter().map(|client| waiting(&client.inbox));
    let given: Vec<usize> =
        given.map(|all| all.iter().filter(|what| **what == "messages").count()).collect();
    assert_eq!(given, [2, 2, 46]);
    assert_eq!(world.dispatcher.counts.slow_consumers, 0);
}

/// What somebody has left behind ends nobody else.
#[test]
fn what_is_left_behind_goes_to_who_has_room() {
    let mut world = world();
    attach_with(&mut world, QueueLimits::default());
    join(&mut world, 0, "g", "a");
    for _ in 0..10 {
        world.send(&[0, 2, 0]);
    }
    attach_with(&mut world, QueueLimits::default().messages(7));
    join(&mut world, 1, "g", "a");
    let Attached { id, inbox, .. } = world.clients.remove(0);
    let leftovers = Box::new(Leftovers::new(Vec::new(), inbox));
    world.dispatcher.step(Event::Retire { client: id, leftovers });
    while !world.dispatcher.leaving.is_empty() {
        world.dispatcher.leave_on();
    }
    assert_eq!(world.dispatcher.counts.slow_consumers, 0);
    assert_eq!(world.dispatcher.stats().subscriptions, 1);
    assert_eq!(waiting(&world.clients[0].inbox), ["reply", "messages", "messages", "messages"]);
}

#[test]
fn a_connection_is_in_so_many_groups_and_no_more() {
    let mut world = world();
    attach_with(&mut world, QueueLimits::default());
    for number in 0..256 {
        join(&mut world, 0, &format!("g{number}"), "a");
    }
    let all = waiting(&world.clients[0].inbox);
    assert!(all.iter().all(|what| *what == "reply"), "{all:?}");
    join(&mut world, 0, "g", "a");
    assert_eq!(waiting(&world.clients[0].inbox), ["error"]);
    join(&mut world, 0, "g7", "a");
    assert_eq!(waiting(&world.clients[0].inbox), ["reply"]);
    assert_eq!(world.dispatcher.stats().subscriptions, 256);
}

/// They take memory as other subscriptions do, and give it back.
#[test]
fn memberships_take_memory() {
    let memory = Memory::new(SMALLEST_MEMORY);
    let share = memory.of(Use::Connections);
    let dispatcher = Dispatcher::default().with_memory(memory.clone());
    let mut world = World { dispatcher, ..world() };
    attach_with(&mut world, QueueLimits::default());
    let filter = "x".repeat(1_000);
    for number in 0..100 {
        join(&mut world, 0, &format!("g{number}"), &filter);
    }
    assert!((100 * 2_000 - (8 << 10)..100 * 4_000).contains(&share.used()), "{}", share.used());
    for number in 0..50 {
        let (group, filter) = (format!("g{number}").into(), TopicFilter::parse(&filter).unwrap());
        world.ask(0, Control::Quit { group, filter });
    }
    assert!(share.used() < 50 * 4_000 && share.used() > 0, "{}", share.used());
    let id = world.clients[0].id;
    world.dispatcher.step(Event::Detach { client: id });
    world.dispatcher.leave_on();
    assert_eq!(share.used(), 0);
    assert!(world.dispatcher.groups.is_empty());
}

/// What it has asked for is still done before it ends, and takes its time.
#[test]
fn who_retires_is_chosen_for_nothing_more() {
    let mut world = world();
    for topic in 0..5_000 {
        publish(&mut world.dispatcher, &format!("x/{topic}"), true);
    }
    for client in 0..2 {
        attach_with(&mut world, QueueLimits::default());
        join(&mut world, client, "g", "a");
    }
    world.send(&[0, 0]);
    world.ask(0, Control::ClearBelow { filter: TopicFilter::parse("x").unwrap() });
    assert!(!world.dispatcher.clearings.is_empty());
    let Attached { id, inbox, .. } = world.clients.remove(0);
    let leftovers = Box::new(Leftovers::new(Vec::new(), inbox));
    world.dispatcher.step(Event::Retire { client: id, leftovers });
    assert!(world.dispatcher.by_id.contains_key(&id));
    world.dispatcher.leave_on();
    world.send(&[0]);
    world.send(&[0]);
    let all = waiting(&world.clients[0].inbox);
    assert_eq!(all.iter().filter(|what| **what == "messages").count(), 4);
    settle(&mut world.dispatcher);
    assert!(world.dispatcher.leaving.is_empty() && !world.dispatcher.by_id.contains_key(&id));
}

/// The dispatcher goes on with others meanwhile.
#[test]
fn much_is_handed_on_in_parts() {
    let mut world = world();
    attach_with(&mut world, QueueLimits::default().messages(5_000));
    join(&mut world, 0, "g", "a");
    for _ in 0..5_000 {
        world.send(&[0]);
    }
    attach_with(&mut world, QueueLimits::default());
    join(&mut world, 1, "g", "a");
    let Attached { id, inbox, .. } = world.clients.remove(0);
    let leftovers = Box::new(Leftovers::new(Vec::new(), inbox));
    world.dispatcher.step(Event::Retire { client: id, leftovers });
    let mut parts = 0;
    let mut before = 0;
    while !world.dispatcher.leaving.is_empty() {
        world.dispatcher.leave_on();
        let now = world.clients[0].inbox.waiting();
        assert!(now - before <= 1_024, "{}", now - before);
        (before, parts) = (now, parts + 1);
    }
    assert!(before == 5_001 && parts > 5, "{before} {parts}");
}
