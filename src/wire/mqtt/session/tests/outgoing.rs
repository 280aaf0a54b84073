//! Messages to a client.

use std::collections::{BTreeSet, VecDeque};

use super::super::{Again, MOST_IN_FLIGHT, Outgoing};
use super::{Random, SCHEDULES};
use crate::wire::mqtt::{Ack, Kind, PacketId, Qos, Reason};

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// What goes to the client.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Publish { id: PacketId, qos: Qos, number: u64 },
    Pubrel(PacketId),
}

/// A message as a naive server remembers it.
#[derive(Clone, Copy, Debug)]
struct Known {
    id: PacketId,
    qos: Qos,
    number: u64,
    is_released: bool,
    is_open: bool,
    is_resent: bool,
}

/// A client by the book, on a connection that may break at any time.
#[derive(Debug, Default)]
struct Client {
    to_client: VecDeque<Sent>,
    to_server: VecDeque<Ack<'static>>,
    unreleased: BTreeSet<PacketId>,
    /// Numbers of the messages, as they came.
    came: Vec<(Qos, u64)>,
    refused: BTreeSet<u64>,
}

impl Client {
    fn receive(&mut self, random: &mut Random) {
        let Some(sent) = self.to_client.pop_front() else { return };
        let answer = match sent {
            Sent::Publish { id, qos: Qos::AtLeastOnce, number } => {
                self.came.push((Qos::AtLeastOnce, number));
                Ack::new(Kind::Puback, id, Reason::SUCCESS)
            }
            Sent::Publish { id, number, .. } => {
                let is_new = !self.unreleased.contains(&id);
                if is_new && (self.refused.contains(&number) || random.chance(10)) {
                    self.refused.insert(number);
                    Ack::new(Kind::Pubrec, id, Reason::QUOTA)
                } else {
                    if is_new {
                        self.unreleased.insert(id);
                        self.came.push((Qos::ExactlyOnce, number));
                    }
                    Ack::new(Kind::Pubrec, id, Reason::SUCCESS)
                }
            }
            Sent::Pubrel(id) => {
                self.unreleased.remove(&id);
                Ack::new(Kind::Pubcomp, id, Reason::SUCCESS)
            }
        };
        self.to_server.push_back(answer);
    }
}

/// A naive server beside the one that is tested.
#[derive(Debug, Default)]
struct Naive {
    window: usize,
    known: Vec<Known>,
}

impl Naive {
    fn open(&self) -> usize {
        self.known.iter().filter(|known| known.is_open).count()
    }

    fn room(&self) -> usize {
        if self.known.iter().any(|known| !known.is_resent) {
            return 0;
        }
        self.window.saturating_sub(self.open())
    }

    fn again(&mut self) -> Option<Sent> {
        let open = self.open();
        let known = self.known.iter_mut().find(|known| !known.is_resent)?;
        if !known.is_released && open >= self.window {
            return None;
        }
        known.is_resent = true;
        if known.is_released {
            return Some(Sent::Pubrel(known.id));
        }
        known.is_open = true;
        Some(Sent::Publish { id: known.id, qos: known.qos, number: known.number })
    }

    fn at(&self, id: PacketId) -> Option<usize> {
        self.known.iter().position(|known| known.id == id)
    }
}

/// A server takes an answer, as the naive one does.
fn answer(server: &mut Outgoing<u64>, naive: &mut Naive, ack: Ack<'_>) -> Option<Sent> {
    let at = naive.at(ack.id);
    let known = at.map(|at| naive.known[at]);
    match ack.kind {
        Kind::Puback => {
            let taken = server.puback(ack.id);
            match known {
                Some(known) if known.qos == Qos::ExactlyOnce => assert!(taken.is_err()),
                _ => assert_eq!(taken, Ok(known.map(|known| known.number))),
            }
            if known.is_some_and(|known| known.qos == Qos::AtLeastOnce) {
                naive.known.remove(at.unwrap());
            }
            None
        }
        Kind::Pubrec => {
            let taken = server.pubrec(ack.id, ack.reason);
            let Some(known) = known else {
                let answer = (!ack.reason.is_failure()).then_some(Ack::new(
                    Kind::Pubrel,
                    ack.id,
                    Reason::ID_NOT_FOUND,
                ));
                assert_eq!(taken, Ok((None, answer)));
                return answer.map(|ack| Sent::Pubrel(ack.id));
            };
            if known.qos == Qos::AtLeastOnce {
                assert!(taken.is_err());
                return None;
            }
            let message = (!known.is_released).then_some(known.number);
            if ack.reason.is_failure() {
                naive.known.remove(at.unwrap());
                assert_eq!(taken, Ok((message, None)));
                return None;
            }
            naive.known[at.unwrap()].is_released = true;
            let answer = Ack::new(Kind::Pubrel, ack.id, Reason::SUCCESS);
            assert_eq!(taken, Ok((message, Some(answer))));
            Some(Sent::Pubrel(ack.id))
        }
        _ => {
            let taken = server.pubcomp(ack.id);
            assert_eq!(taken.is_err(), known.is_some_and(|known| !known.is_released));
            if known.is_some_and(|known| known.is_released) {
                naive.known.remove(at.unwrap());
            }
            None
        }
    }
}

fn run(schedule: u64) {
    let mut random = Random::new(schedule);
    let window = 1 + random.below(6);
    let mut server = Outgoing::<u64>::new(window as u16);
    // Numbers come round.
    server.last = [0, u16::MAX - 2][random.below(2)];
    let mut naive = Naive { window, ..Naive::default() };
    let mut client = Client::default();
    let (mut sent, messages) = (0, 5 + random.below(20) as u64);
    let mut steps = 0;
    while sent < messages || !naive.known.is_empty() {
        steps += 1;
        assert!(steps < 100_000, "schedule {schedule} comes to no end");
        match random.below(if steps < 2_000 { 100 } else { 90 }) {
            0..30 => client.receive(&mut random),
            30..60 => {
                if let Some(ack) = client.to_server.pop_front() {
                    client.to_client.extend(answer(&mut server, &mut naive, ack));
                }
            }
            60..75 => {
                let expected = naive.again();
                let again = server.again().map(|again| match again {
                    Again::Publish(id, qos, number) => Sent::Publish { id, qos, number: *number },
                    Again::Pubrel(id) => Sent::Pubrel(id),
                });
                assert_eq!(format!("{again:?}"), format!("{expected:?}"), "schedule {schedule}");
                client.to_client.extend(again);
            }
            75..90 if sent < messages => {
                let qos = [Qos::AtLeastOnce, Qos::ExactlyOnce][random.below(2)];
                let given = server.send(qos, sent);
                assert_eq!(given.is_ok(), naive.room() > 0, "schedule {schedule}");
                let Ok(id) = given else { continue };
                assert!(naive.at(id).is_none(), "schedule {schedule}: {id} is in use");
                let (is_released, is_open, is_resent) = (false, true, true);
                let number = sent;
                naive.known.push(Known { id, qos, number, is_released, is_open, is_resent });
                client.to_client.push_back(Sent::Publish { id, qos, number });
                sent += 1;
            }
            90..94 => {
                // The connection breaks, and what was on it is lost.
                client.to_client.clear();
                client.to_server.clear();
                naive.window = 1 + random.below(6);
                naive.known.iter_mut().for_each(|known| {
                    (known.is_open, known.is_resent) = (false, false);
                });
                server.resume(naive.window as u16);
            }
            94..97 => {
                // An answer that is none to anything, or not yet. No message is lost by it: one
                // that settles something is no mistake that a server could see.
                let ack = Ack::new(
                    [Kind::Puback, Kind::Pubrec, Kind::Pubcomp][random.below(3)],
                    id([1, 2, 3, u16::MAX, 700][random.below(5)]),
                    Reason::SUCCESS,
                );
                let is_wrong = match naive.at(ack.id).map(|at| naive.known[at]) {
                    None => true,
                    Some(known) => match ack.kind {
                        Kind::Puback => known.qos == Qos::ExactlyOnce,
                        Kind::Pubrec => known.qos == Qos::AtLeastOnce,
                        _ => !known.is_released,
                    },
                };
                if is_wrong {
                    answer(&mut server, &mut naive, ack);
                }
            }
            _ => {}
        }
        assert_eq!(server.room(), naive.room(), "schedule {schedule}");
        assert_eq!(server.len(), naive.known.len(), "schedule {schedule}");
        assert!(naive.open() <= naive.window, "schedule {schedule}");
        let left = naive.known.iter().filter(|known| !known.is_released).map(|known| known.number);
        assert!(server.messages().copied().eq(left), "schedule {schedule}");
    }
    // All came: those of QoS 2 once, or not where the client said so; each for the first time in
    // the order in which they were sent.
    let mut first = Vec::new();
    for &(qos, number) in &client.came {
        let is_known = first.contains(&number);
        assert!(!is_known || qos == Qos::AtLeastOnce, "schedule {schedule}: {number} came twice");
        first.extend((!is_known).then_some(number));
    }
    assert!(first.is_sorted(), "schedule {schedule}: {first:?}");
    for number in 0..messages {
        assert!(
            first.contains(&number) || client.refused.contains(&number),
            "{schedule}: {number}"
        );
    }
}

#[test]
fn whatever_happens_all_messages_come_as_often_as_they_should_and_in_their_order() {
    (0..SCHEDULES).for_each(run);
}

#[test]
fn a_client_has_no_more_messages_on_their_way_than_it_wants() {
    let mut server = Outgoing::new(2);
    assert_eq!(server.room(), 2);
    assert_eq!(server.send(Qos::AtLeastOnce, 'a'), Ok(id(1)));
    assert_eq!(server.send(Qos::ExactlyOnce, 'b'), Ok(id(2)));
    assert_eq!(server.send(Qos::AtLeastOnce, 'c'), Err('c'));
    assert_eq!(server.puback(id(1)), Ok(Some('a')));
    assert_eq!(server.puback(id(1)), Ok(None));
    assert_eq!(server.send(Qos::AtLeastOnce, 'c'), Ok(id(3)));
    // A message of QoS 2 counts until its PUBCOMP.
    let pubrel = Ack::new(Kind::Pubrel, id(2), Reason::SUCCESS);
    assert_eq!(server.pubrec(id(2), Reason::SUCCESS), Ok((Some('b'), Some(pubrel))));
    assert_eq!(server.room(), 0);
    assert_eq!(server.pubcomp(id(2)), Ok(()));
    assert_eq!(server.room(), 1);
    assert_eq!(server.give_up(id(3)), Some('c'));
    assert_eq!((server.room(), server.len()), (2, 0));
}

#[test]
fn a_new_connection_with_a_smaller_window_is_sent_the_same_in_parts() {
    let mut server = Outgoing::new(10);
    for (at, message) in ('a'..='d').enumerate() {
        assert_eq!(server.send(Qos::AtLeastOnce, message), Ok(id(at as u16 + 1)));
    }
    server.resume(2);
    assert_eq!(server.room(), 0);
    assert_eq!(server.again(), Some(Again::Publish(id(1), Qos::AtLeastOnce, &'a')));
    assert_eq!(server.again(), Some(Again::Publish(id(2), Qos::AtLeastOnce, &'b')));
    assert_eq!(server.again(), None);
    assert_eq!(server.puback(id(1)), Ok(Some('a')));
    assert_eq!(server.again(), Some(Again::Publish(id(3), Qos::AtLeastOnce, &'c')));
    assert_eq!(server.send(Qos::AtLeastOnce, 'e'), Err('e'));
    server.puback(id(2)).unwrap();
    assert_eq!(server.again(), Some(Again::Publish(id(4), Qos::AtLeastOnce, &'d')));
    server.puback(id(3)).unwrap();
    assert_eq!(server.send(Qos::AtLeastOnce, 'e'), Ok(id(5)));
}

#[test]
fn numbers_come_round_past_those_that_are_in_use() {
    let mut server = Outgoing::new(u16::MAX);
    for _ in 0..MOST_IN_FLIGHT {
        server.send(Qos::AtLeastOnce, ()).unwrap();
    }
    assert_eq!((server.room(), server.send(Qos::AtLeastOnce, ())), (0, Err(())));
    // The first stay in use while others come and go, several times around.
    let kept = MOST_IN_FLIGHT as u16 / 2;
    for number in kept + 1..=MOST_IN_FLIGHT as u16 {
        server.puback(id(number)).unwrap();
    }
    for _ in 0..200_000 {
        let id = server.send(Qos::AtLeastOnce, ()).unwrap();
        assert!(id.get() > kept, "{id} is in use");
        assert_eq!(server.puback(id), Ok(Some(())));
    }
    assert_eq!(server.len(), usize::from(kept));
}
