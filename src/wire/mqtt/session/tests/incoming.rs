//! Messages of a client.

use std::collections::VecDeque;

use super::super::{Arrived, Incoming};
use super::{Random, SCHEDULES};
use crate::wire::mqtt::{Ack, Kind, PacketId, Qos, Reason};

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// A message as the client remembers it.
#[derive(Debug)]
struct Mine {
    id: PacketId,
    qos: Qos,
    number: u64,
    is_released: bool,
    /// Whether it was sent, or sent again, on this connection.
    is_sent: bool,
    /// Whether it takes a part of what the client may send.
    is_open: bool,
}

#[derive(Debug)]
enum Sent {
    Publish(Qos, PacketId, u64),
    Pubrel(PacketId),
}

/// A client by the book, and a connection that may break at any time.
#[derive(Debug, Default)]
struct Client {
    maximum: usize,
    mine: Vec<Mine>,
    to_server: VecDeque<Sent>,
    to_client: VecDeque<Ack<'static>>,
}

impl Client {
    fn open(&self) -> usize {
        self.mine.iter().filter(|mine| mine.is_open).count()
    }

    /// Sends the next that is not sent on this connection.
    fn send(&mut self) {
        let has_room = self.open() < self.maximum;
        let Some(mine) = self.mine.iter_mut().find(|mine| !mine.is_sent) else { return };
        if mine.is_released {
            self.to_server.push_back(Sent::Pubrel(mine.id));
        } else if has_room {
            self.to_server.push_back(Sent::Publish(mine.qos, mine.id, mine.number));
            mine.is_open = true;
        } else {
            return;
        }
        mine.is_sent = true;
    }

    fn receive(&mut self) {
        let Some(ack) = self.to_client.pop_front() else { return };
        let Some(at) = self.mine.iter().position(|mine| mine.id == ack.id) else { return };
        match ack.kind {
            Kind::Pubrec if !ack.reason.is_failure() => {
                self.mine[at].is_released = true;
                self.to_server.push_back(Sent::Pubrel(ack.id));
            }
            _ => drop(self.mine.remove(at)),
        }
    }
}

fn run(schedule: u64) {
    let mut random = Random::new(schedule);
    let maximum = 1 + random.below(5);
    let mut client = Client { maximum, ..Client::default() };
    let mut server = Incoming::new(maximum as u16);
    // What was published, and what is not answered yet.
    let mut published: Vec<(Qos, u64)> = Vec::new();
    let mut refused = Vec::new();
    let mut unanswered: VecDeque<Ack<'static>> = VecDeque::new();
    let (mut made, messages) = (0, 5 + random.below(20) as u64);
    let mut steps = 0;
    while made < messages || !client.mine.is_empty() {
        steps += 1;
        assert!(steps < 100_000, "schedule {schedule} comes to no end");
        match random.below(if steps < 2_000 { 100 } else { 95 }) {
            0..15 if made < messages => {
                let used = |number| client.mine.iter().any(|mine| mine.id == id(number));
                let Some(free) = (1..30).find(|number| !used(*number)) else { continue };
                let qos = [Qos::AtLeastOnce, Qos::ExactlyOnce][random.below(2)];
                let (id, number) = (id(free), made);
                let (is_released, is_sent, is_open) = (false, false, false);
                client.mine.push(Mine { id, qos, number, is_released, is_sent, is_open });
                made += 1;
            }
            15..40 => client.send(),
            40..60 => client.receive(),
            60..80 => match client.to_server.pop_front() {
                Some(Sent::Publish(qos, id, number)) => {
                    let arrived = server.publish(qos, id).expect("the client keeps the maximum");
                    let is_refused = arrived == Arrived::New && random.chance(10);
                    let reason = if is_refused { Reason::NOT_AUTHORIZED } else { Reason::SUCCESS };
                    if is_refused {
                        refused.push(number);
                    } else if arrived == Arrived::New {
                        published.push((qos, number));
                    }
                    let kind = if qos == Qos::ExactlyOnce { Kind::Pubrec } else { Kind::Puback };
                    unanswered.push_back(Ack::new(kind, id, reason));
                }
                Some(Sent::Pubrel(id)) => unanswered.push_back(server.pubrel(id)),
                None => {}
            },
            80..95 => {
                let Some(ack) = unanswered.pop_front() else { continue };
                match ack.kind {
                    Kind::Puback => server.acknowledged(),
                    Kind::Pubrec if ack.reason.is_failure() => server.refused(ack.id),
                    _ => {}
                }
                client.to_client.push_back(ack);
            }
            95..98 => {
                // The connection breaks, and what was on it is lost.
                client.to_server.clear();
                client.to_client.clear();
                unanswered.clear();
                client.maximum = 1 + random.below(5);
                server.resume(client.maximum as u16);
                for mine in &mut client.mine {
                    (mine.is_sent, mine.is_open) = (false, false);
                }
            }
            _ => {}
        }
        assert!(server.open <= client.open(), "schedule {schedule}");
    }
    for number in 0..messages {
        let times = published.iter().filter(|(_, is)| *is == number).count();
        let qos = published.iter().find(|(_, is)| *is == number).map(|(qos, _)| *qos);
        assert!(times > 0 || refused.contains(&number), "schedule {schedule}: {number}");
        assert!(times < 2 || qos == Some(Qos::AtLeastOnce), "schedule {schedule}: {number}");
    }
}

#[test]
fn whatever_happens_a_message_is_published_as_often_as_it_should_be() {
    (0..SCHEDULES).for_each(run);
}

#[test]
fn a_message_of_qos_2_is_known_until_it_is_released() {
    let mut server = Incoming::new(3);
    assert_eq!(server.publish(Qos::ExactlyOnce, id(7)), Ok(Arrived::New));
    assert_eq!(server.publish(Qos::ExactlyOnce, id(7)), Ok(Arrived::Again));
    server.resume(3);
    assert_eq!(server.publish(Qos::ExactlyOnce, id(7)), Ok(Arrived::Again));
    assert_eq!(server.unreleased(), 1);
    assert_eq!(server.pubrel(id(7)), Ack::new(Kind::Pubcomp, id(7), Reason::SUCCESS));
    assert_eq!(server.pubrel(id(7)), Ack::new(Kind::Pubcomp, id(7), Reason::ID_NOT_FOUND));
    assert_eq!(server.publish(Qos::ExactlyOnce, id(7)), Ok(Arrived::New));
    server.refused(id(7));
    assert_eq!(server.publish(Qos::ExactlyOnce, id(7)), Ok(Arrived::New));
}

#[test]
fn a_client_that_sends_more_than_it_may_is_told() {
    let mut server = Incoming::new(2);
    server.publish(Qos::AtLeastOnce, id(1)).unwrap();
    server.publish(Qos::ExactlyOnce, id(2)).unwrap();
    // The same once more is nothing more.
    server.publish(Qos::ExactlyOnce, id(2)).unwrap();
    let reason = |taken: Result<Arrived, crate::wire::mqtt::Fault>| taken.unwrap_err().reason;
    assert_eq!(reason(server.publish(Qos::AtLeastOnce, id(3))), Reason::RECEIVE_MAXIMUM);
    assert_eq!(reason(server.publish(Qos::ExactlyOnce, id(3))), Reason::RECEIVE_MAXIMUM);
    server.acknowledged();
    assert_eq!(server.publish(Qos::ExactlyOnce, id(3)), Ok(Arrived::New));
    server.refused(id(3));
    server.pubrel(id(2));
    assert_eq!(server.open, 0);
}
