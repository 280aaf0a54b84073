//! A stream's thread tells the writers of its consumers itself, and the dispatcher where it cannot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use babelmq::broker::{
    Announcer, ClientId, Control, Delivery, Dispatcher, Event, Inbox, Peer, Queued, Rights, Step,
    StoreLimits, StreamsPlan, outbox,
};
use babelmq::codec::{Batch, Dialect, Payload};
use babelmq::protocol::{DurableRequest, Overflow, Start, Token};
use babelmq::storage::{Storage, Streams};
use babelmq::{Fsync, Limits, QueueLimits, Topic, TopicFilter, Value};
use crossbeam_channel::{Receiver, TryRecvError, unbounded};

use super::{orders, scratch};

const CLIENT: ClientId = ClientId(7);
const PATIENCE: Duration = Duration::from_secs(20);

/// A dispatcher that takes a step when it is told to, and a client of it.
struct Stepwise {
    dispatcher: Dispatcher,
    events: Receiver<Event>,
    announcer: Announcer,
    inbox: Inbox,
}

impl Stepwise {
    fn new(name: &str) -> Stepwise {
        let folder = scratch(name);
        drop(Storage::open(&folder, true).unwrap());
        let (sender, events) = unbounded();
        let announcer = Announcer::new(sender);
        let mut dispatcher = Dispatcher::new(StoreLimits::default(), 10);
        let plan = StreamsPlan {
            store: Some(Arc::new(Streams::open(&folder).unwrap())),
            definitions: vec![orders()],
            announcer: announcer.clone(),
            fsync: Fsync::Always,
            interval: Duration::from_secs(1),
            limits: Limits::default(),
        };
        dispatcher.open_streams(plan).unwrap();
        let (outbox, inbox) = outbox(QueueLimits::default());
        let (peer, rights) = (Peer::Tcp(([127, 0, 0, 1], 1).into()), Rights::Everything);
        dispatcher.step(Event::Attach { client: CLIENT, peer, rights, outbox });
        Stepwise { dispatcher, events, announcer, inbox }
    }

    fn steps(&mut self, step: Step) {
        let (steps, queued) = (vec![step], Queued::nothing());
        self.dispatcher.step(Event::Steps { client: CLIENT, steps, queued });
    }

    fn consume(&mut self) {
        let durable = DurableRequest {
            consumer: Some("billing".to_owned()),
            start: Some(Start::All),
            ..DurableRequest::default()
        };
        let subscribe = Control::Subscribe {
            filter: TopicFilter::parse("orders/#").unwrap(),
            dialect: Dialect::Json,
            overflow: Overflow::Disconnect,
            queue: None,
            names: None,
            cleared: false,
            values: false,
            durable: Some(durable.into()),
        };
        self.steps(Step::Control(Token::default(), subscribe));
    }

    fn publish(&mut self) {
        let limits = Limits::default();
        let payload = Payload::of_value("orders/1", &Value::Int(1), &limits).unwrap();
        let topic = Topic::parse("orders/1").unwrap();
        let batch = Batch::of_payload(topic, payload, (false, None), limits);
        self.steps(Step::Publish(Box::new(batch)));
    }

    fn next(&mut self) -> Delivery {
        self.inbox.wait_until(Instant::now() + PATIENCE).unwrap().0
    }

    /// The numbers that the next delivery, of a feed, has for the client.
    fn read(&mut self) -> Vec<u64> {
        let Delivery::Feed(feed) = self.next() else { panic!("no feed") };
        feed.begin();
        let mut numbers = Vec::new();
        while let Some((due, place)) = feed.take() {
            numbers.extend(due.from..=due.to);
            feed.put_back(place, None);
        }
        numbers
    }

    /// Ends the streams.
    fn end(self) {
        self.announcer.close();
        drop(self.announcer);
        self.dispatcher.run(&self.events);
    }
}

#[test]
fn a_writer_is_told_of_messages_without_the_dispatcher_once_it_knows_the_feed() {
    let mut broker = Stepwise::new("straight");
    broker.publish();
    broker.consume();
    // Behind the answer.
    let first = broker.events.recv_timeout(PATIENCE).unwrap();
    broker.dispatcher.step(first);
    assert!(matches!(broker.next(), Delivery::Answer { .. }));
    assert_eq!(broker.read(), [1]);
    for number in 2..5 {
        broker.publish();
        assert_eq!(broker.read(), [number]);
    }
    assert!(broker.events.is_empty(), "the dispatcher hears nothing of it");
    broker.end();
}

/// An outbox has another end then, which does not keep it open.
#[test]
fn a_writer_sees_the_end_though_a_stream_could_tell_it_more() {
    let mut broker = Stepwise::new("straight-end");
    broker.publish();
    broker.consume();
    let first = broker.events.recv_timeout(PATIENCE).unwrap();
    broker.dispatcher.step(first);
    broker.next();
    let Delivery::Feed(feed) = broker.next() else { panic!("no feed") };
    broker.dispatcher.step(Event::Detach { client: CLIENT });
    assert_eq!(broker.inbox.look().unwrap_err(), TryRecvError::Disconnected);
    drop(feed);
    broker.end();
}

/// A connection whose writer has ended is noticed where it is to be told something.
#[test]
fn the_dispatcher_is_told_of_messages_for_a_writer_that_has_gone() {
    let mut broker = Stepwise::new("straight-gone");
    broker.publish();
    broker.consume();
    let first = broker.events.recv_timeout(PATIENCE).unwrap();
    broker.dispatcher.step(first);
    broker.next();
    assert_eq!(broker.read(), [1]);
    let (_, gone) = outbox(QueueLimits::default());
    drop(std::mem::replace(&mut broker.inbox, gone));
    broker.publish();
    let word = broker.events.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(word, Event::Stream(_)));
    broker.end();
}
