//! Streams, for a broker that keeps none: whoever asks for one is told so.

use super::{Dispatcher, How};
use crate::access::Right;
use crate::broker::client_id::{ClientId, Slot};
use crate::broker::event::Settle;
use crate::protocol::{
    AdminRequest, Command, DurableRequest, ErrorCode, Refusal, Reply, Token, Topic, TopicFilter,
    Value,
};

impl Dispatcher {
    /// Takes what a consumer says of messages that were delivered to it.
    pub(super) fn settle(&mut self, client: ClientId, settle: Settle) {
        let Some(&slot) = self.by_id.get(&client) else { return };
        let Settle { stream, consumer, token, what } = settle;
        let name =
            consumer.map_or("no consumer".into(), |name| format!("not the consumer {name:?}"));
        let of = stream.map(|stream| format!(" of the stream {stream:?}")).unwrap_or_default();
        let reason = format!(
            "this connection is {name}{of}, so there is nothing to settle (messages: {}); subscribe \
             with a field \"consumer\" first",
            what.len()
        );
        self.reply(slot, token, Reply::Error(Refusal::new(ErrorCode::NoConsumer, reason)));
    }

    /// Subscribes a member of a consumer, or a follower.
    pub(super) fn consume(
        &mut self,
        slot: Slot,
        filter: TopicFilter,
        durable: DurableRequest,
        how: How,
    ) {
        let scope = self.rights(slot).scope(Right::Subscribe, "subscribe to", filter.clone());
        let refusal = match (scope, &durable.stream) {
            (Err(refusal), _) => refusal,
            (Ok(_), Some(stream)) => no_such_stream(stream).about(filter.as_str()),
            (Ok(_), None) => nothing_keeps(filter.as_str()),
        };
        self.reply(slot, how.token, Reply::Error(refusal));
    }

    /// Does what concerns the streams themselves.
    pub(super) fn administer(&mut self, slot: Slot, token: Token, request: AdminRequest) {
        let Some(Some(client)) = self.slots.get(slot as usize) else { return };
        if let Err(refusal) = client.rights.streams(request.command(), client.peer) {
            return self.reply(slot, token, Reply::Error(refusal));
        }
        let none = || Value::List(Vec::new());
        let reply = match (request.command(), request.names()) {
            (Command::Streams, _) => Reply::Streams { streams: none() },
            (Command::Consumers, (None, _)) => Reply::Consumers { consumers: none() },
            (Command::AddStream, _) => {
                let reason = "this broker keeps no streams; start it with --stream";
                Reply::Error(Refusal::new(ErrorCode::NoStream, reason))
            }
            (_, (stream, _)) => Reply::Error(no_such_stream(stream.unwrap_or_default())),
        };
        self.reply(slot, token, reply);
    }

    /// Answers a `get` of the last messages of a stream.
    pub(super) fn get_last(&mut self, slot: Slot, topic: &Topic, token: Token) {
        let refusal = match self.rights(slot).see(topic.name()) {
            Ok(()) => nothing_keeps(topic.as_str()),
            Err(refusal) => refusal,
        };
        self.reply(slot, token, Reply::Error(refusal));
    }
}

#[cold]
fn nothing_keeps(topic: &str) -> Refusal {
    let reason = format!(
        "no stream keeps {topic}; start the broker with --stream, or add one with babelmq stream \
         add"
    );
    Refusal::new(ErrorCode::NoStream, reason).about(topic)
}

#[cold]
fn no_such_stream(stream: &str) -> Refusal {
    let reason = format!(
        "there is no stream {stream:?}; start the broker with --stream, or add one with babelmq \
         stream add"
    );
    Refusal::new(ErrorCode::NoStream, reason)
}
