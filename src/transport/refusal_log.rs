//! Refused messages in the log: a few of each client, so that one that sends nothing else does not
//! fill the disk.

use std::time::Duration;

use crate::broker::sync::Instant;
use crate::broker::{ClientId, Control, Peer, Step};
use crate::protocol::Refusal;
use crate::wire::format_of;

/// Refusals of one client that are logged in a [`SPAN`].
const LOGGED: u32 = 3;
const SPAN: Duration = Duration::from_secs(1);

/// The refusals of one client that were logged lately; most clients have none.
#[derive(Debug, Default)]
pub(super) struct RefusalLog(Option<Box<Logged>>);

#[derive(Debug)]
struct Logged {
    client: ClientId,
    peer: Peer,
    since: Option<Instant>,
    logged: u32,
    unlogged: u64,
}

impl RefusalLog {
    /// Logs the refusals among `steps`, or that there were more of them.
    #[cold]
    pub(super) fn log(&mut self, (client, peer): (ClientId, Peer), steps: &[Step]) {
        for step in steps {
            let Step::Control(token, Control::Refuse { refusal }) = step else { continue };
            self.log_one((client, peer), refusal, format_of(*token).name());
        }
    }

    /// Logs a refusal of what came in this format, or that there were more of them.
    #[cold]
    pub(super) fn log_one(
        &mut self,
        (client, peer): (ClientId, Peer),
        refusal: &Refusal,
        format: &str,
    ) {
        let new = || Box::new(Logged { client, peer, since: None, logged: 0, unlogged: 0 });
        let logged = self.0.get_or_insert_with(new);
        // A session of MQTT that goes on has another number.
        logged.client = client;
        logged.log(refusal, format);
    }

    /// Says how many were not logged.
    pub(super) fn end(&mut self) {
        if let Some(logged) = &mut self.0 {
            logged.end();
        }
    }
}

impl Logged {
    fn log(&mut self, refusal: &Refusal, format: &str) {
        let (client, peer) = (self.client, self.peer);
        let now = Instant::now();
        if self.since.is_none_or(|since| now.duration_since(since) >= SPAN) {
            self.end();
            (self.since, self.logged) = (Some(now), 0);
        }
        if self.logged < LOGGED {
            self.logged += 1;
            let topic = refusal.topic.as_deref();
            let (code, reason) = (refusal.code, &refusal.reason);
            tracing::info!(%client, %peer, %code, format, topic, reason, "message refused");
        } else {
            self.unlogged += 1;
        }
    }

    fn end(&mut self) {
        if self.unlogged > 0 {
            let Logged { client, peer, unlogged: messages, .. } = *self;
            tracing::info!(%client, %peer, messages, "more messages refused than are logged one by \
            one");
            self.unlogged = 0;
        }
    }
}
