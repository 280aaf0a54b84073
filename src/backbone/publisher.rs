//! What a line publishes: sent without waiting for each, acknowledged, tried again.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::{Message, StatusCode, Subject, Subscriber};
use futures_util::{FutureExt, StreamExt};
use serde::Deserialize;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::headers::{self, Outbound};
use super::place::{At, Place, gone, sent, there};
use super::subject;
use super::warnings::Warnings;
use super::window::{ACK_WAIT, Window};
use crate::broker::sync::Sender;
use crate::broker::{FromBackbone, Outgoing};

/// Between two attempts: at first, and at most.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What a message costs beside its bytes.
const MESSAGE: usize = 256;

/// A message as it goes to the server.
#[derive(Debug)]
struct Ready {
    subject: Subject,
    message: Outbound,
}

/// One line's messages.
pub(super) struct Publisher {
    /// What the ids of its messages begin with.
    name: String,
    at: At,
    doubts: Arc<Notify>,
    said: Sender<FromBackbone>,
    /// In which place the reader has begun.
    reads: watch::Receiver<u64>,
    mail: mpsc::UnboundedReceiver<Vec<Outgoing>>,
    window: Window<Ready>,
    pause: Duration,
    /// Nothing more comes.
    is_over: bool,
    warnings: Warnings,
}

impl Publisher {
    /// A publisher of what comes by `mail`.
    pub(super) fn new(
        name: String,
        (at, doubts, said): (At, Arc<Notify>, Sender<FromBackbone>),
        reads: watch::Receiver<u64>,
        mail: mpsc::UnboundedReceiver<Vec<Outgoing>>,
    ) -> Publisher {
        let window = Window::default();
        let (pause, is_over, warnings) = (PAUSE, false, Warnings::default());
        Publisher { name, at, doubts, said, reads, mail, window, pause, is_over, warnings }
    }

    /// Publishes until nothing more comes and all is said.
    pub(super) async fn run(mut self) {
        while !self.is_done() {
            let place = tokio::select! {
                place = there(&mut self.at) => place,
                messages = self.mail.recv(), if !self.is_over => {
                    self.take(messages);
                    continue;
                }
            };
            let Some(place) = place else { return };
            self.attend(&place).await;
            self.window.disconnect();
            // A connection that is lost is there a moment longer than what it is good for.
            let mut at = self.at.clone();
            tokio::select! {
                () = gone(&mut at, &place) => {}
                () = sleep(PAUSE) => {}
            }
        }
    }

    fn is_done(&self) -> bool {
        self.is_over && self.window.is_empty()
    }

    /// Publishes on one connection, as long as it lasts.
    async fn attend(&mut self, place: &Arc<Place>) {
        // A broker's own subscribers get what it publishes: one that knows nothing of a stream
        // begins with each topic's last message, and these must not be before that.
        let (mut at, mut reads) = (self.at.clone(), self.reads.clone());
        loop {
            tokio::select! {
                biased;
                () = gone(&mut at, place) => return,
                is_read = reads.wait_for(|reads| *reads >= place.number) => match is_read {
                    Ok(_) => break,
                    Err(_) => return,
                },
                messages = self.mail.recv(), if !self.is_over => self.take(messages),
            }
            if self.is_done() {
                return;
            }
        }
        let inbox = place.client.new_inbox();
        let Ok(mut answers) = place.client.subscribe(format!("{inbox}.*.*")).await else { return };
        while !self.is_done() {
            if self.window.is_to_retry() && !self.retry(place).await {
                return;
            }
            self.send(place, &inbox).await;
            let due = self.window.due();
            let mut at = self.at.clone();
            tokio::select! {
                biased;
                () = gone(&mut at, place) => return,
                answer = answers.next() => match answer {
                    Some(answer) => self.take_answers(answer, &mut answers),
                    None => return,
                },
                messages = self.mail.recv(), if !self.is_over => self.take(messages),
                () = until(due) => self.window.expire(Instant::now()),
            }
        }
    }

    /// Takes what is there to be published.
    fn take(&mut self, first: Option<Vec<Outgoing>>) {
        let Some(first) = first else {
            self.is_over = true;
            return;
        };
        first.into_iter().for_each(|message| self.prepare(message));
        while let Ok(messages) = self.mail.try_recv() {
            messages.into_iter().for_each(|message| self.prepare(message));
        }
    }

    fn prepare(&mut self, message: Outgoing) {
        let Outgoing { number, id, message } = message;
        let id = match id {
            Some(id) => headers::id_of_publisher(&id),
            None => format!("{}-{number}", self.name),
        };
        let topic = message.topic;
        let ready = match subject::of_topic(&topic) {
            None => Err("topics that begin with \"$\" are each broker's own".to_owned()),
            Some(subject) => Outbound::new(message.content, id)
                .map(|message| Ready { subject: subject.into(), message }),
        };
        match ready {
            Ok(ready) => {
                let bytes = ready.message.weight() + ready.subject.len() + MESSAGE;
                self.window.push(number, ready, bytes);
            }
            Err(reason) => self.refuse(number, format!("{topic} is not shared: {reason}")),
        }
    }

    /// Sends as much as may be on its way.
    async fn send(&mut self, place: &Place, inbox: &str) {
        let now = Instant::now();
        while let Some((number, attempt, Ready { subject, message })) = self.window.send(now) {
            let headers = message.headers();
            let size = message.size(&headers);
            if size > place.max_payload {
                let reason = format!(
                    "with its headers it is {size} bytes, and NATS takes {} (max_payload of the \
                     server, or max_msg_size of the stream {})",
                    place.max_payload, place.stream
                );
                self.refuse(number, reason);
                continue;
            }
            let published = place.client.publish_with_reply_and_headers(
                subject.clone(),
                format!("{inbox}.{number}.{attempt}"),
                headers,
                message.payload.clone(),
            );
            if !sent(published, ACK_WAIT).await {
                // It was not even handed to the connection.
                self.window.fail(number, attempt);
            }
        }
    }

    /// Begins anew after a failure. Returns whether the place is still there.
    async fn retry(&mut self, place: &Arc<Place>) -> bool {
        let mut at = self.at.clone();
        let checked = async {
            sleep(self.pause).await;
            // The answer comes behind everything that was sent: what is sent again does not meet
            // what was sent before on the way.
            while !place.answers().await {
                self.doubts.notify_one();
                sleep(self.pause).await;
            }
        };
        tokio::select! {
            biased;
            () = gone(&mut at, place) => return false,
            () = checked => {}
        }
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        let window = place.duplicate_window;
        for (number, since) in self.window.retry(Instant::now(), window) {
            let reason = format!(
                "it is in doubt whether NATS has stored it: it was sent {} s ago, no \
                 acknowledgement came, and the stream {} knows repeats for {} s only, so it is not \
                 sent again",
                since.as_secs(),
                place.stream,
                window.as_secs()
            );
            self.refuse(number, reason);
        }
        true
    }

    fn take_answers(&mut self, first: Message, answers: &mut Subscriber) {
        let mut numbers = Vec::new();
        let mut next = Some(first);
        while let Some(answer) = next {
            self.take_answer(&answer, &mut numbers);
            next = answers.next().now_or_never().flatten();
        }
        if !numbers.is_empty() {
            let _ = self.said.send(FromBackbone::Stored { numbers });
        }
    }

    /// Takes an answer; the number of what it says is stored goes to the others.
    fn take_answer(&mut self, answer: &Message, numbers: &mut Vec<u64>) {
        let mut tokens = answer.subject.as_str().rsplit('.');
        let mut token = || tokens.next()?.parse::<u64>().ok();
        let (Some(attempt), Some(number)) = (token(), token()) else { return };
        let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
        match verdict(answer) {
            Verdict::Stored => {
                self.pause = PAUSE;
                if self.window.finish(number) {
                    numbers.push(number);
                }
            }
            Verdict::Refused(reason) => {
                if self.window.finish(number) {
                    let _ = self.said.send(FromBackbone::Refused { number, reason });
                }
            }
            Verdict::TooMuch => {
                if let Some(count) = self.warnings.note() {
                    tracing::warn!(
                        count,
                        "NATS has more at once than its max_buffered_msgs or max_buffered_size, \
                         and takes the messages that it refuses behind others: this broker sends \
                         fewer at a time now; raise those limits where many brokers publish to one \
                         stream"
                    );
                }
                self.window.is_too_much();
                self.window.fail(number, attempt);
            }
            Verdict::Failed(reason) => {
                tracing::debug!(number, reason, "a message is sent again");
                self.window.fail(number, attempt);
                // The stream may be gone.
                self.doubts.notify_one();
            }
        }
    }

    fn refuse(&mut self, number: u64, reason: String) {
        self.window.finish(number);
        let _ = self.said.send(FromBackbone::Refused { number, reason });
    }
}

/// An answer of JetStream's, as far as it is of interest.
#[derive(Deserialize)]
struct Answer {
    error: Option<jetstream::Error>,
    seq: Option<u64>,
}

/// What an answer says of a message.
enum Verdict {
    Stored,
    Refused(String),
    /// The stream has too much at once, and may take it later.
    TooMuch,
    /// It is not stored now, and may be later.
    Failed(String),
}

fn verdict(answer: &Message) -> Verdict {
    if let Some(status) = answer.status.filter(|status| *status != StatusCode::OK) {
        return Verdict::Failed(format!("no stream takes it (status {status})"));
    }
    match serde_json::from_slice::<Answer>(&answer.payload) {
        Ok(Answer { error: None, seq: Some(_) }) => Verdict::Stored,
        Ok(Answer { error: Some(error), .. }) => {
            let words = error.to_string();
            // A stream that is full is refused with a code that stands for failures of its disk
            // too. What is wrong with a message by itself is a wrong request; other codes are said
            // of what may pass, as that a message with this id is about to be stored.
            let is_full = words.starts_with("maximum ");
            if error.code() == 429 {
                Verdict::TooMuch
            } else if is_full || error.code() == 400 {
                Verdict::Refused(format!("NATS refuses it: {words}"))
            } else {
                Verdict::Failed(words)
            }
        }
        Ok(Answer { error: None, seq: None }) => {
            Verdict::Failed("an answer that says nothing".to_owned())
        }
        Err(error) => Verdict::Failed(format!("an answer that is none: {error}")),
    }
}

/// Sleeps until then; for ever where there is no such time.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(payload: String) -> &'static str {
        let answer = Message {
            subject: "_INBOX.1.7.1".into(),
            reply: None,
            length: payload.len(),
            payload: payload.into(),
            headers: None,
            status: None,
            description: None,
        };
        match verdict(&answer) {
            Verdict::Stored => "stored",
            Verdict::Refused(_) => "refused",
            Verdict::TooMuch => "too much",
            Verdict::Failed(_) => "failed",
        }
    }

    #[test]
    fn an_answer_says_what_becomes_of_a_message() {
        let error = r#"{"error":{"code":CODE,"description":"WORDS"},"stream":"s","seq":0}"#;
        for (payload, expected) in [
            (r#"{"stream":"orders","seq":7}"#.to_owned(), "stored"),
            (r#"{"stream":"orders","seq":7,"duplicate":true,"domain":"hub"}"#.to_owned(), "stored"),
            (r#"{"stream":"orders"}"#.to_owned(), "failed"),
            (String::new(), "failed"),
            (error.replace("CODE", "429").replace("WORDS", "too many requests"), "too much"),
            (error.replace("CODE", "400").replace("WORDS", "bad request"), "refused"),
            (error.replace("CODE", "503").replace("WORDS", "maximum messages exceeded"), "refused"),
            (error.replace("CODE", "503").replace("WORDS", "no leader"), "failed"),
        ] {
            assert_eq!(said(payload.clone()), expected, "{payload}");
        }
    }
}
