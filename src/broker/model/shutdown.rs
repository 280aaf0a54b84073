//! A broker that is stopped while its clients come, go, stall and talk nonsense.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shuttle::thread;

use super::socket::{Arrived, Socket};
use super::transport::Broker;
use super::{Line, batch, error, explore, filter, one_in};
use crate::broker::{Control, Step};
use crate::codec::Dialect;
use crate::protocol::{ErrorCode, Overflow, Reply, Token};

const TOPIC: &str = "t";
const PUBLISHED: u64 = 4;

fn control(control: Control) -> Arrived {
    Arrived::Steps(vec![Step::Control(Token::default(), control)])
}

fn subscribe(socket: &Socket, overflow: Overflow, queue: Option<u32>) {
    let filter = filter(TOPIC);
    socket.arrive(control(Control::Subscribe {
        filter,
        dialect: Dialect::Json,
        overflow,
        queue,
        names: None,
        cleared: false,
    }));
}

fn ping(socket: &Socket) {
    socket.arrive(control(Control::Ping { id: None }));
}

fn publish(socket: &Socket, number: u64) {
    socket.arrive(Arrived::Steps(vec![Step::Publish(Box::new(batch(TOPIC, [number])))]));
}

/// Connects a client that has heard that it subscribed.
fn subscriber(broker: &Broker, overflow: Overflow) -> Arc<Socket> {
    let socket = broker.connect();
    subscribe(&socket, overflow, None);
    socket.await_line(&Line::Subscribed);
    socket
}

/// Connects a client that has been served.
fn publisher(broker: &Broker) -> Arc<Socket> {
    let socket = broker.connect();
    ping(&socket);
    socket.await_line(&Line::Pong);
    socket
}

/// Stops a broker. Every thread of it has ended then, and nobody holds on to anything of it.
fn stop(broker: Broker, patient: bool) {
    let shared = broker.stop(patient);
    let (started, ended) =
        (shared.started.load(Ordering::SeqCst), shared.ended.load(Ordering::SeqCst));
    assert_eq!(started, ended, "threads were started, and ended");
    assert_eq!(Arc::strong_count(&shared), 1, "somebody holds on to the broker");
}

/// What had arrived when the broker was stopped reaches every subscriber that is still there.
#[test]
fn what_arrived_is_delivered() {
    explore("shutdown, delivery", || {
        let broker = Broker::start(false);
        let subscribers =
            [Overflow::Disconnect, Overflow::DropOldest].map(|o| subscriber(&broker, o));
        let publisher = publisher(&broker);
        subscriber(&broker, Overflow::Disconnect).vanish();
        for number in 0..PUBLISHED {
            publish(&publisher, number);
        }
        stop(broker, true);
        let mut expected = vec![Line::Subscribed];
        expected.extend((0..PUBLISHED).map(|number| Line::Message(TOPIC.into(), number)));
        for subscriber in subscribers {
            assert_eq!(subscriber.written(), expected);
        }
    });
}

/// Whatever clients do meanwhile, everything ends.
#[test]
fn everything_ends() {
    explore("shutdown, ends", || {
        let broker = Broker::start(one_in(2));
        let slow = broker.connect();
        subscribe(&slow, Overflow::Disconnect, Some(1));
        let sober = subscriber(&broker, Overflow::Disconnect);
        let publisher = publisher(&broker);
        let stranger = broker.connect();
        // It says nothing, and may be accepted at the last moment.
        broker.connect();
        let stalls = one_in(2);
        let clients = [
            thread::spawn({
                let publisher = publisher.clone();
                move || (0..PUBLISHED).for_each(|number| publish(&publisher, number))
            }),
            thread::spawn(move || {
                if stalls {
                    slow.stall();
                }
                ping(&slow);
                if one_in(2) {
                    slow.vanish();
                }
            }),
            thread::spawn(move || {
                let Reply::Error(refusal) = error(ErrorCode::UnknownFormat) else { return };
                stranger.arrive(Arrived::Fault(refusal));
            }),
        ];
        stop(broker, !stalls);
        for client in clients {
            client.join().unwrap();
        }
        // However much of it came in time, nothing is missing in between.
        let expected = [Line::Subscribed].into_iter();
        let expected =
            expected.chain((0..PUBLISHED).map(|number| Line::Message(TOPIC.into(), number)));
        for (written, expected) in sober.written().iter().zip(expected) {
            assert_eq!(*written, expected);
        }
    });
}
