//! What whoever administrates the broker asks of its streams.

use super::{DEAD, Dispatcher, MOST, Streams, dead_letters, no_stream};
use crate::broker::client_id::Slot;
use crate::broker::delivery::Delivery;
use crate::broker::streams::{
    Answer, Asked, FromStream, Opened, Reach, StreamDefinition, StreamSummary, What, check_name,
};
use crate::broker::sync::{bounded, thread};
use crate::protocol::{AdminRequest, ErrorCode, Refusal, Reply, Token, WhenFull};

impl Dispatcher {
    /// Does what is asked, or refuses it; what a stream's thread has to do is answered by it.
    pub(in crate::broker::dispatcher) fn administer(
        &mut self,
        slot: Slot,
        token: Token,
        request: AdminRequest,
    ) {
        let Some(Some(client)) = self.slots.get(slot as usize) else { return };
        let may = client.rights.streams(request.command(), client.peer);
        let (answer, answered) = bounded(1);
        match may.and_then(|()| self.ask_stream(slot, request, token, answer)) {
            Ok(Some(delivery)) => self.send(slot, delivery),
            Ok(None) => self.send(slot, Delivery::Answer { answer: answered, token }),
            Err(refusal) => self.reply(slot, token, Reply::Error(refusal)),
        }
    }

    /// Hands a request to the stream that it is for. Returns a delivery where that answers it, and
    /// nothing else does.
    fn ask_stream(
        &mut self,
        slot: Slot,
        request: AdminRequest,
        token: Token,
        answer: Answer,
    ) -> Result<Option<Delivery>, Refusal> {
        let (name, what) = match request {
            AdminRequest::Streams => {
                let streams = self.streams.summaries();
                return Ok(Some(Delivery::Streams { streams, token }));
            }
            AdminRequest::Consumers { stream } => {
                let consumers = self.streams.ask_for_consumers(stream.as_deref())?;
                return Ok(Some(Delivery::Consumers { consumers, token }));
            }
            AdminRequest::AddStream { stream, filter, age, bytes, messages, full } => {
                // Dead letters may be given limits.
                if stream != DEAD {
                    own(&stream)?;
                }
                let mut definition = StreamDefinition::new(&stream, filter)
                    .map_err(|reason| Refusal::new(ErrorCode::InvalidField, reason))?;
                (definition.age, definition.bytes, definition.messages) = (age, bytes, messages);
                definition.full = full.unwrap_or(WhenFull::DropOldest);
                return self.define_stream(definition, answer).map(|()| None);
            }
            AdminRequest::RemoveStream { stream } => {
                own(&stream)?;
                let found = self.streams.named(&stream).map(|(place, it)| (place, it.is_shared()));
                let (place, is_shared) =
                    found.ok_or_else(|| Refusal::new(ErrorCode::NoStream, no_stream(&stream)))?;
                if is_shared {
                    return Err(shared(&format!("the stream {stream} is")));
                }
                self.remove_stream(place, answer);
                return Ok(None);
            }
            AdminRequest::ResetConsumer { stream, consumer, start } => {
                (stream, What::Reset { consumer, start, next: 0, answer })
            }
            AdminRequest::RemoveConsumer { stream, consumer } => {
                (stream, What::RemoveConsumer { consumer, answer })
            }
            AdminRequest::Retry { stream, consumer, seq } => {
                (stream, What::Retry { consumer, seq, answer })
            }
            AdminRequest::Delete { stream, seq } => (stream, What::Delete { seq, answer }),
        };
        let found = self.streams.named(&name);
        let (place, stream) =
            found.ok_or_else(|| Refusal::new(ErrorCode::NoStream, no_stream(&name)))?;
        let what = match what {
            What::Reset { consumer, start, answer, .. } => {
                What::Reset { consumer, start, next: stream.next, answer }
            }
            what => what,
        };
        stream.hand_over(what);
        let op = stream.op;
        self.touch(slot, place, Reach::All, op);
        Ok(None)
    }

    /// Adds a stream, or gives one other limits.
    fn define_stream(
        &mut self,
        definition: StreamDefinition,
        answer: Answer,
    ) -> Result<(), Refusal> {
        let Some(opener) = self.streams.opener.clone() else {
            let reason = "this broker keeps nothing on a disk, so it can have no streams; start \
                          it with --data-dir";
            return Err(Refusal::new(ErrorCode::NoStream, reason));
        };
        let has_dead = self.streams.named(DEAD).is_some();
        if definition.name == DEAD && !has_dead {
            let reason = "there are no dead letters yet: add another stream first";
            return Err(Refusal::new(ErrorCode::NoStream, reason));
        }
        if self.streams.shares_some(&definition.filter) {
            return Err(shared(&format!("some topics of {} are", definition.filter)));
        }
        if let Some((_, stream)) = self.streams.named(&definition.name) {
            if stream.is_shared() {
                return Err(shared(&format!("the stream {} is", definition.name)));
            }
            if stream.definition.filter != definition.filter {
                let reason = format!(
                    "the stream {} keeps {}; a filter cannot be changed: remove the stream, or \
                     choose another name",
                    definition.name, stream.definition.filter
                );
                return Err(Refusal::new(ErrorCode::InvalidField, reason));
            }
            stream.definition = definition.clone();
            stream.hand_over(What::Define { definition, answer });
            return Ok(());
        }
        let opening = &mut self.streams.opening;
        if opening.contains(&definition.name) {
            let reason = format!("the stream {} is being added already", definition.name);
            return Err(Refusal::new(ErrorCode::InvalidField, reason));
        }
        if self.streams.all.len() + opening.len() >= MOST {
            let reason = format!("a broker may have {MOST} streams; remove some first");
            return Err(Refusal::new(ErrorCode::NoStream, reason));
        }
        let mut wanted = Vec::new();
        if !has_dead && definition.name != DEAD && !opening.iter().any(|name| name == DEAD) {
            wanted.extend(dead_letters());
        }
        wanted.push(definition);
        let names: Vec<String> = wanted.iter().map(|definition| definition.name.clone()).collect();
        opening.extend(names.iter().cloned());
        // Opening reads the disk, so a thread of its own does it.
        let announcer = opener.announcer.clone();
        let open = move || {
            let last = wanted.len() - 1;
            for (number, definition) in wanted.into_iter().enumerate() {
                let name = definition.name.clone();
                let answer = (number == last).then(|| answer.clone());
                let stream = opener.open(definition);
                let opened = Opened { name, stream, answer };
                let sent = announcer.send(FromStream::Opened(Box::new(opened)));
                if let Err(FromStream::Opened(unheard)) = sent {
                    // The broker stops.
                    unheard.end();
                }
            }
        };
        match thread::Builder::new().name("open stream".into()).spawn(open) {
            Ok(thread) => {
                self.streams
                    .openers
                    .extend(names.into_iter().next_back().map(|last| (last, thread)));
                Ok(())
            }
            Err(error) => {
                self.streams.opening.retain(|opening| !names.contains(opening));
                let reason = format!("cannot start the thread that opens the stream: {error}");
                Err(Refusal::new(ErrorCode::StorageFailed, reason))
            }
        }
    }

    /// Takes in a stream that was opened, and says so.
    pub(super) fn opened(&mut self, opened: Opened) {
        let Opened { name, stream, answer } = opened;
        self.streams.opening.retain(|opening| *opening != name);
        for (_, thread) in self.streams.openers.extract_if(.., |(last, _)| *last == name) {
            // It was the last that it had to do.
            let _ = thread.join();
        }
        let answered = match stream {
            Ok(stream) => {
                self.add_stream(stream);
                Ok(Reply::Done { stream: Some(name.into()), consumer: None })
            }
            Err(error) => Err(Refusal::new(ErrorCode::StorageFailed, error.reason())),
        };
        if let Some(answer) = answer {
            let _ = answer.send(answered);
        }
    }
}

impl Streams {
    /// What is known of each stream without asking its thread.
    pub(in crate::broker::dispatcher) fn summaries(&self) -> Vec<StreamSummary> {
        self.each()
            .map(|stream| StreamSummary {
                definition: stream.definition.clone(),
                reader: stream.reader.clone(),
                state: stream.state.clone(),
            })
            .collect()
    }

    /// Asks the threads of all streams, or of one, for their consumers.
    pub(in crate::broker::dispatcher) fn ask_for_consumers(
        &mut self,
        name: Option<&str>,
    ) -> Result<Vec<Asked>, Refusal> {
        if let Some(name) = name
            && self.named(name).is_none()
        {
            return Err(Refusal::new(ErrorCode::NoStream, no_stream(name)));
        }
        let mut asked = Vec::new();
        for stream in self.all.iter_mut().flatten() {
            if name.is_none_or(|name| name == stream.definition.name) {
                let (answer, report) = bounded(1);
                stream.hand_over(What::Report { answer });
                asked.push(Asked { stream: stream.definition.name.clone(), report });
            }
        }
        Ok(asked)
    }
}

/// Why a stream cannot be added or removed here.
fn shared(what: &str) -> Refusal {
    let reason = format!(
        "{what} shared with other brokers, and the backbone keeps them; `babelmq backbone` and the \
         tools of NATS change that"
    );
    Refusal::new(ErrorCode::InvalidField, reason)
}

/// Whether a client may add or remove a stream of this name.
fn own(name: &str) -> Result<(), Refusal> {
    if name.starts_with('$') {
        let reason = format!("the stream {name:?} is the broker's own: names with \"$\" are");
        return Err(Refusal::new(ErrorCode::InvalidField, reason));
    }
    check_name("stream", name).map_err(|reason| Refusal::new(ErrorCode::InvalidField, reason))
}
