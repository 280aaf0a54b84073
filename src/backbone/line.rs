//! One set of shared topics: what the broker hands over goes to whom it concerns.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::consumers;
use super::follower::Follower;
use super::link::Link;
use super::member::{Member, ToMember};
use super::ops::Ops;
use super::place::{self, At};
use super::publisher::Publisher;
use super::reader::Reader;
use crate::broker::sync::Sender;
use crate::broker::{FromBackbone, Outgoing, SharedPlan, ToBackbone};

/// As much as is passed on before others have their turn.
const TOGETHER: usize = 64;
/// How long a line that is over may still say what it has to.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How many members there may be before those that are over are looked for.
const MEMBERS: usize = 64;

/// What a line begins with.
pub(super) struct Opening {
    /// Which topics, and from where.
    pub(super) plan: SharedPlan,
    /// What the ids of its messages begin with: no other line, of whichever broker, has it.
    pub(super) name: String,
    /// The broker.
    pub(super) said: Sender<FromBackbone>,
    /// What it hands over.
    pub(super) handed: mpsc::UnboundedReceiver<ToBackbone>,
}

/// Runs a line until the broker drops it.
pub(super) async fn run(opening: Opening, link: watch::Receiver<Link>) {
    let Opening { plan, name, said, mut handed } = opening;
    let SharedPlan { topics, position } = plan;
    let doubts = Arc::new(Notify::new());
    let (found, at) = watch::channel(None);
    // They say something before they are over, which takes a place.
    let (mut watching, mut lasting) = (JoinSet::new(), JoinSet::new());
    watching.spawn(place::watch(topics.clone(), link, doubts.clone(), found, said.clone()));
    let (begun, reads) = watch::channel(0);
    let reader = Reader::new(topics, position, at.clone(), doubts.clone(), said.clone(), begun);
    watching.spawn(reader.run());
    let (publish, published) = mpsc::unbounded_channel();
    let way = (at.clone(), doubts.clone(), said.clone());
    let publisher = Publisher::new(name, way, reads, published);
    lasting.spawn(publisher.run());
    let mut desk = Desk {
        at,
        doubts,
        ops: Ops::new(said.clone()),
        said,
        publish,
        members: HashMap::new(),
        most: MEMBERS,
        turn: Arc::default(),
    };
    let mut together = Vec::new();
    loop {
        // A panic, which has been logged: what is left does not work without what is gone.
        let is_whole = tokio::select! {
            biased;
            Some(ended) = lasting.join_next() => ended.is_ok(),
            Some(ended) = watching.join_next() => ended.is_ok(),
            count = handed.recv_many(&mut together, TOGETHER) => match count {
                0 => break,
                _ => together.drain(..).all(|handed| desk.take(handed, &mut lasting)),
            },
        };
        if !is_whole {
            let reason = "a fault of this broker has ended what speaks to NATS for it, and is in \
                          its log; restart it";
            let _ = desk.said.send(FromBackbone::Unavailable { reason: reason.to_owned() });
            return;
        }
    }
    drop((desk.publish, desk.members));
    let _ = timeout(LAST_WORDS, async { while lasting.join_next().await.is_some() {} }).await;
    let now = desk.at.borrow().clone();
    if let Some(place) = now {
        let _ = timeout(LAST_WORDS, place.client.flush()).await;
    }
}

/// The way to a member of a consumer, or to one that follows.
#[derive(Clone)]
struct Way {
    consumer: Option<Arc<str>>,
    tell: mpsc::UnboundedSender<ToMember>,
}

/// Where what is handed over goes to whom it concerns.
struct Desk {
    at: At,
    doubts: Arc<Notify>,
    ops: Ops,
    said: Sender<FromBackbone>,
    publish: mpsc::UnboundedSender<Vec<Outgoing>>,
    members: HashMap<u64, Way>,
    /// So many are looked through.
    most: usize,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Desk {
    /// Passes something on. Returns whether there is somebody who takes it.
    fn take(&mut self, handed: ToBackbone, tasks: &mut JoinSet<()>) -> bool {
        match handed {
            ToBackbone::Publish(messages) => return self.publish.send(messages).is_ok(),
            ToBackbone::Join(wanted) => {
                let (tell, mail) = mpsc::unbounded_channel();
                let consumer = wanted.consumer.clone();
                if self.members.len() >= self.most {
                    // Those that never were members, or whose consumer was forgotten, are over.
                    self.members.retain(|_, way| !way.tell.is_closed());
                    self.most = MEMBERS.max(2 * self.members.len());
                }
                self.members.insert(wanted.member, Way { consumer, tell });
                let way = (self.at.clone(), self.doubts.clone(), self.said.clone());
                let heard = (mail, self.ops.clone());
                match wanted.consumer.clone() {
                    None => tasks.spawn(Follower::new(*wanted, way, heard.0).run()),
                    Some(name) => {
                        let turn = self.turn.clone();
                        tasks.spawn(Member::new(*wanted, name, way, heard, turn).run())
                    }
                };
            }
            ToBackbone::Leave { member } => {
                if let Some(way) = self.members.remove(&member) {
                    let _ = way.tell.send(ToMember::Leave);
                }
            }
            ToBackbone::Settle { member, seq, how, op } => {
                self.ops.begin(op);
                let way = self.members.get(&member);
                let told = way.map(|way| way.tell.send(ToMember::Settle { seq, how, op }));
                let follows = way.is_some_and(|way| way.consumer.is_none());
                if follows || !matches!(told, Some(Ok(()))) {
                    // Its messages went to others when it left; of one that follows no server has
                    // to know it.
                    self.ops.finish([op]);
                }
            }
            ToBackbone::Remove { consumer, op } => {
                let (at, said, turn) = (self.at.clone(), self.said.clone(), self.turn.clone());
                let of =
                    self.members.values().filter(|way| way.consumer.as_ref() == Some(&consumer));
                let members: Vec<Way> = of.cloned().collect();
                tasks.spawn(async move {
                    let _turn = turn.lock().await;
                    let place = at.borrow().clone();
                    let removed = match place {
                        Some(place) => consumers::remove(&place, &consumer).await,
                        None => Err("there is no connection to NATS".to_owned()),
                    };
                    if removed == Ok(true) {
                        // Those of other brokers hear of it from the server.
                        for way in members {
                            let _ = way.tell.send(ToMember::Forget);
                        }
                    }
                    let _ = said.send(FromBackbone::Removed { op, removed });
                });
            }
            ToBackbone::Report { op } => {
                let place = self.at.borrow().clone();
                let Some(place) = place else { return true };
                let said = self.said.clone();
                tasks.spawn(async move {
                    match consumers::report(&place).await {
                        Ok(report) => {
                            let _ = said.send(FromBackbone::Report { op, report });
                        }
                        Err(reason) => tracing::debug!(reason, "the stream tells nothing"),
                    }
                });
            }
        }
        true
    }
}
