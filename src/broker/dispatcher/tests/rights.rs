//! Random users, rules, subscriptions, logins, reloads and messages: every client gets what a model
//! says that only knows what a rule means.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::access::{Policy, Reach};
use crate::broker::Letter;
use crate::broker::sync::bounded;

const USERS: [&str; 3] = ["a", "b", "c"];
const TOPICS: [&str; 10] = ["a", "b", "c", "a/a", "a/b", "b/a", "/a", "a/b/c", "$d/a", "$d/a/b"];
/// With a `!` behind them they mean nothing that is below.
const FILTERS: [&str; 18] = [
    "#", "a", "b", "a/b", "+/a", "a/+", "/a", "/", "+/+", "a/a", "c", "a/b/c", "a!", "+!", "a/+!",
    "+/+!", "$d", "$d/a!",
];
const RULES: [&str; 11] =
    ["#", "a", "b", "a/b", "+/a", "a/+", "/a", "{user}", "{user}/+", "$d", "$d/a/b"];
const CLIENTS: usize = 3;

/// Of each user the rules that allow and those that deny; none where there is no such user.
type Rules = Vec<Option<(Vec<&'static str>, Vec<&'static str>)>>;
type Key = (&'static str, Option<i64>);

#[derive(Clone, Debug)]
enum Op {
    Subscribe { client: usize, filter: &'static str, overflow: usize, cleared: bool },
    Cancel { client: usize, filter: &'static str },
    Publish { topic: &'static str, retain: bool },
    Clear { topic: &'static str },
    LogIn { client: usize, user: usize },
    Reload(Rules),
    Read { client: usize },
}

fn rules() -> impl Strategy<Value = Rules> {
    let list = || prop::collection::vec(prop::sample::select(&RULES[..]), 0..3);
    prop::collection::vec(prop::option::weighted(0.9, (list(), list())), USERS.len())
}

fn op() -> impl Strategy<Value = Op> {
    let (client, topic) = (0..CLIENTS, prop::sample::select(&TOPICS[..]));
    let filter = prop::sample::select(&FILTERS[..]);
    prop_oneof![
        4 => (client.clone(), filter.clone(), 0..3_usize, any::<bool>()).prop_map(
            |(client, filter, overflow, cleared)| Op::Subscribe { client, filter, overflow, cleared }
        ),
        1 => (client.clone(), filter).prop_map(|(client, filter)| Op::Cancel { client, filter }),
        8 => (topic.clone(), any::<bool>())
            .prop_map(|(topic, retain)| Op::Publish { topic, retain }),
        2 => topic.prop_map(|topic| Op::Clear { topic }),
        2 => (client.clone(), 0..USERS.len()).prop_map(|(client, user)| Op::LogIn { client, user }),
        2 => rules().prop_map(Op::Reload),
        1 => client.prop_map(|client| Op::Read { client }),
    ]
}

fn policy(rules: &Rules) -> Policy {
    let mut text = String::new();
    for (name, rules) in USERS.iter().zip(rules) {
        let Some((allow, deny)) = rules else { continue };
        text += &format!(
            "[[user]]\nname = '{name}'\ncertificate = true\nroles = ['{name}']\n\
             [role.{name}]\nsubscribe = {allow:?}\ndeny-subscribe = {deny:?}\n"
        );
    }
    Policy::parse(&text).unwrap()
}

fn spelled(filter: &str) -> &str {
    filter.trim_end_matches('!')
}

fn parse(filter: &str) -> TopicFilter {
    TopicFilter::parse(spelled(filter)).unwrap().below(!filter.ends_with('!'))
}

/// Whether a filter is about a topic, segment by segment.
fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['#', '+']) {
        return false;
    }
    let (alone, filter) = (filter.ends_with('!'), spelled(filter));
    let wanted: Vec<&str> = match filter {
        "#" => Vec::new(),
        "/" => vec![""],
        other => other.split('/').collect(),
    };
    let segments: Vec<&str> = topic.split('/').collect();
    (wanted.len() == segments.len() || wanted.len() < segments.len() && !alone)
        && wanted.iter().zip(segments).all(|(wanted, is)| *wanted == "+" || *wanted == is)
}

struct Attached {
    id: ClientId,
    user: usize,
    inbox: Inbox,
    subscriptions: BTreeMap<&'static str, (Overflow, bool)>,
    /// What it has to get, and whether nothing newer may take its place.
    expected: Vec<(Key, bool)>,
    /// What the broker refuses of it, or ends.
    refusals: usize,
}

struct World {
    dispatcher: Dispatcher,
    rules: Rules,
    policy: Policy,
    clients: Vec<Option<Attached>>,
    stored: BTreeMap<&'static str, i64>,
    ids: u64,
    values: i64,
}

impl World {
    fn new(rules: Rules) -> World {
        let policy = policy(&rules);
        let dispatcher = Dispatcher::default().with_policy(Some(policy.clone()));
        let clients = (0..CLIENTS).map(|_| None).collect();
        let stored = BTreeMap::new();
        World { dispatcher, rules, policy, clients, stored, ids: 0, values: 0 }
    }

    fn may_see(&self, user: usize, topic: &str) -> bool {
        let Some((allow, deny)) = &self.rules[user] else { return false };
        let any = |rules: &[&str]| {
            rules.iter().any(|rule| matches(&rule.replace("{user}", USERS[user]), topic))
        };
        any(allow) && !any(deny)
    }

    fn reach(&self, user: usize, filter: &str) -> Reach {
        let user = self.policy.user(USERS[user]);
        user.map_or(Reach::Nothing, |user| user.grant().reach(&parse(filter)))
    }

    fn send(&mut self, id: ClientId, step: Step) {
        let (steps, queued) = (vec![step], Queued::nothing());
        self.dispatcher.step(Event::Steps { client: id, steps, queued });
        settle(&mut self.dispatcher);
    }

    fn note(&mut self, topic: &'static str, value: Option<i64>) {
        for index in 0..CLIENTS {
            let Some(client) = &self.clients[index] else { continue };
            let sees = self.may_see(client.user, topic);
            let ways = client.subscriptions.iter().filter(|(filter, _)| matches(filter, topic));
            let ways: Vec<_> = ways.map(|(_, way)| *way).collect();
            if sees && ways.iter().any(|(_, cleared)| value.is_some() || *cleared) {
                let is_kept = ways.iter().all(|(overflow, _)| *overflow != Overflow::Latest);
                self.clients[index].as_mut().unwrap().expected.push(((topic, value), is_kept));
            }
        }
    }

    /// Ends what the model says that rights have ended.
    fn lose(&mut self, index: usize) {
        let Some(mut client) = self.clients[index].take() else { return };
        let before = client.subscriptions.len();
        let user = client.user;
        client.subscriptions.retain(|filter, _| self.reach(user, filter) != Reach::Nothing);
        client.refusals += before - client.subscriptions.len();
        self.clients[index] = Some(client);
    }

    fn take(&mut self, op: Op) {
        match op {
            Op::Subscribe { client: index, filter, overflow, cleared } => {
                let Some(client) = &self.clients[index] else { return };
                let (id, user) = (client.id, client.user);
                let overflow =
                    [Overflow::Disconnect, Overflow::DropOldest, Overflow::Latest][overflow];
                let parsed = parse(filter);
                let control = Control::Subscribe {
                    filter: parsed,
                    dialect: Dialect::Json,
                    overflow,
                    queue: None,
                    names: None,
                    cleared,
                    values: true,
                    durable: None,
                };
                self.read(index);
                self.send(id, Step::Control(Token::default(), control));
                let inbox = &self.clients[index].as_ref().unwrap().inbox;
                let (mut values, mut answer) = (Vec::new(), None);
                while let Some((delivery, charge)) = inbox.next_waiting() {
                    inbox.written(charge);
                    match delivery {
                        Delivery::Snapshot { values: found, .. } => {
                            values = found
                                .iter()
                                .map(|stored| stored.topic().as_str().to_owned())
                                .collect();
                        }
                        Delivery::Reply { reply, .. } => answer = Some(reply),
                        other => panic!("{other:?}"),
                    }
                }
                values.sort();
                let reach = self.reach(user, filter);
                let seen = self
                    .stored
                    .keys()
                    .filter(|topic| matches(filter, topic) && self.may_see(user, topic));
                assert!(values.iter().eq(seen), "{values:?} of {filter}");
                match answer.unwrap() {
                    Reply::Error(refusal) => {
                        assert_eq!(
                            (refusal.code, reach),
                            (ErrorCode::NotPermitted, Reach::Nothing)
                        );
                    }
                    Reply::Subscribed { values: count, limited, .. } => {
                        assert_eq!((count, limited), (values.len() as u64, reach == Reach::Some));
                        assert_ne!(reach, Reach::Nothing);
                        let client = self.clients[index].as_mut().unwrap();
                        client.subscriptions.retain(|other, _| spelled(other) != spelled(filter));
                        client.subscriptions.insert(filter, (overflow, cleared));
                    }
                    other => panic!("{other:?}"),
                }
            }
            Op::Cancel { client: index, filter } => {
                let Some(client) = &mut self.clients[index] else { return };
                client.subscriptions.retain(|other, _| spelled(other) != spelled(filter));
                let (id, filter) = (client.id, TopicFilter::parse(spelled(filter)).unwrap());
                self.send(id, Step::Control(Token::default(), Control::Cancel { filter }));
            }
            Op::Publish { topic, retain } => {
                self.values += 1;
                let limits = Limits::default();
                let payload = Payload::of_value("t", &Value::Int(self.values), &limits);
                let parsed = Topic::parse(topic).unwrap();
                let batch = Batch::of_payload(parsed, payload.unwrap(), (retain, None), limits);
                self.note(topic, Some(self.values));
                if retain {
                    self.stored.insert(topic, self.values);
                }
                self.send(ClientId(0), Step::Publish(Box::new(batch)));
            }
            Op::Clear { topic } => {
                if self.stored.remove(topic).is_some() {
                    self.note(topic, None);
                }
                self.send(ClientId(0), Step::Clear(Topic::parse(topic).unwrap()));
            }
            Op::LogIn { client: index, user } => {
                let Some(found) = self.policy.user(USERS[user]).cloned() else { return };
                if let Some(client) = &mut self.clients[index] {
                    client.user = user;
                    let id = client.id;
                    let control = Control::Welcome { user: Some(found) };
                    self.send(id, Step::Control(Token::default(), control));
                    return self.lose(index);
                }
                self.ids += 1;
                let (outbox, inbox) = outbox(QueueLimits::default());
                let (client, peer) = (ClientId(self.ids), Peer::Tcp(([127, 0, 0, 1], 1).into()));
                let rights = Rights::Of(found);
                self.dispatcher.step(Event::Attach { client, peer, rights, outbox });
                self.clients[index] = Some(Attached {
                    id: client,
                    user,
                    inbox,
                    subscriptions: BTreeMap::new(),
                    expected: Vec::new(),
                    refusals: 0,
                });
            }
            Op::Reload(rules) => {
                self.policy = policy(&rules);
                self.rules = rules;
                let (done, answer) = bounded(1);
                let query = Query::Policy(self.policy.clone(), done);
                self.dispatcher.step(Event::Query(query));
                settle(&mut self.dispatcher);
                answer.try_recv().unwrap();
                for index in 0..CLIENTS {
                    let Some(client) = &mut self.clients[index] else { continue };
                    if self.rules[client.user].is_some() {
                        self.lose(index);
                        continue;
                    }
                    client.refusals += 1;
                    self.read(index);
                    let id = self.clients[index].take().unwrap().id;
                    self.dispatcher.step(Event::Detach { client: id });
                }
            }
            Op::Read { client } => self.read(client),
        }
    }

    /// Reads what waits for a client, and compares it with what the model says.
    fn read(&mut self, index: usize) {
        let Some(client) = &mut self.clients[index] else { return };
        let mut found: Vec<Key> = Vec::new();
        let mut add = |topic: &str, payload: Option<&[u8]>| {
            let topic = *TOPICS.iter().find(|known| **known == topic).unwrap();
            // A pickle of a small number ends with it and a stop.
            let number = |pickle: &[u8]| i64::from(pickle[pickle.len() - 2]);
            found.push((topic, payload.map(number)));
        };
        let mut of_batch = |batch: &Batch, selection: &Selection| {
            let all: Vec<usize> = match selection {
                Selection::Whole => (0..batch.messages().len()).collect(),
                Selection::Some(some) => some.iter().map(|index| *index as usize).collect(),
            };
            for index in all {
                let message = &batch.messages()[index];
                let payload = (!message.is_cleared()).then(|| batch.payload(index).source());
                add(batch.topics().get(message.topic()).as_str(), payload);
            }
        };
        let mut refusals = 0;
        let mut newest = Vec::new();
        while let Some((delivery, charge)) = client.inbox.next_waiting() {
            client.inbox.written(charge);
            match delivery {
                Delivery::Messages { batch, selection, .. } => of_batch(&batch, &selection),
                Delivery::Mailbox(mailbox) => {
                    mailbox.open();
                    loop {
                        let taken = mailbox.take();
                        if taken.letters.is_empty() {
                            break;
                        }
                        for letter in taken.letters {
                            match letter {
                                Letter::Messages(batch, selection, _) => {
                                    of_batch(&batch, &selection);
                                }
                                Letter::Newest(stored) => newest.push(stored),
                            }
                        }
                    }
                }
                Delivery::Reply { reply: Reply::Error(_), .. } => refusals += 1,
                Delivery::Reply { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        for stored in newest {
            let payload = stored.is_held().then(|| stored.payload().source());
            add(stored.topic().as_str(), payload);
        }
        assert_eq!(refusals, client.refusals, "refusals of {index}");
        client.refusals = 0;
        let expected = std::mem::take(&mut client.expected);
        let count = |of: &Key| found.iter().filter(|found| *found == of).count();
        let count_expected =
            |of: &Key| expected.iter().filter(|(expected, _)| expected == of).count();
        for key in &found {
            assert!(count(key) <= count_expected(key), "{key:?} is not for {index}: {expected:?}");
        }
        for (place, (key, is_kept)) in expected.iter().enumerate() {
            let is_newest = !expected[place + 1..].iter().any(|((topic, _), _)| *topic == key.0);
            assert!(
                !(*is_kept || is_newest) || count(key) > 0,
                "{key:?} of {index} is missing: {expected:?} {found:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_client_gets_what_it_asked_for_and_may_see(
        rules in rules(),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut world = World::new(rules);
        (0..CLIENTS).for_each(|client| world.take(Op::LogIn { client, user: client }));
        ops.into_iter().for_each(|op| world.take(op));
        (0..CLIENTS).for_each(|client| world.read(client));
    }
}
