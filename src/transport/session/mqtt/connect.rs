//! CONNECT: who the client is, and which session is its.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::super::login::Goes;
use super::super::{FAREWELL, Session};
use super::packets::{ALIASES, Took};
use super::{Known, Will};
use crate::broker::sync::{Instant, Mutex};
use crate::broker::{Counters, Event, Peer, Rights, wall_clock};
use crate::codec::Credentials;
use crate::protocol::{ErrorCode, Refusal};
use crate::transport::mqtt::{Absent, Kept, Seat, SessionName, unheard_of};
use crate::transport::users::Member;
use crate::wire::mqtt::{
    Aliases, Connack, Connect, Fault, MOST_IN_FLIGHT, Manner, Packet, Reason, Talk, Version,
    packet_at, said_version,
};

/// Bytes of a client's name for itself.
const MOST_NAME: usize = 1_024;
/// Messages of QoS 1 and 2 that may be on their way to a client that does not say how many, and to
/// the broker from one that is told.
const WINDOW: u16 = 1_024;
/// How long a connection that has the session may take to let go of it.
const TAKEOVER: Duration = Duration::from_secs(5);

/// Why there is no session.
struct No {
    reason: Reason,
    words: String,
}

impl No {
    fn new(reason: Reason, words: impl Into<String>) -> No {
        No { reason, words: words.into() }
    }
}

impl Session {
    /// Takes the first packet, when all of it is there.
    pub(super) fn take_connect(&mut self) -> io::Result<Took> {
        let most = self.most_of_next();
        let end = match packet_at(self.buffer.bytes(), 0, None, most) {
            Ok(None) => return Ok(Took::Everything),
            Ok(Some((_, end))) => end,
            Err(fault) => {
                let version = said_version(self.buffer.bytes());
                self.refuse_connect(version, &fault)?;
                return Ok(Took::Last);
            }
        };
        let bytes = self.buffer.bytes()[..end].to_vec();
        self.buffer.take(end);
        let Ok(Some((Packet::Connect(connect), _))) = packet_at(&bytes, 0, None, most) else {
            return Ok(Took::Last);
        };
        match self.connect(&connect)? {
            Goes::On => Ok(Took::Some),
            Goes::NoFurther => Ok(Took::Last),
        }
    }

    /// Says what is wrong with a first packet, to a client that can be told.
    fn refuse_connect(&mut self, version: Option<Version>, fault: &Fault) -> io::Result<()> {
        self.find_fault(fault);
        // One of a version that there is not is answered in the last that is known.
        let version = version
            .or_else(|| (fault.reason == Reason::UNSUPPORTED_VERSION).then_some(Version::V3_1_1));
        match version {
            Some(version) => self.answer_no(version, &No::new(fault.reason, fault.to_string())),
            None => Ok(()),
        }
    }

    fn connect(&mut self, connect: &Connect<'_>) -> io::Result<Goes> {
        let version = connect.version;
        let until = Instant::now() + TAKEOVER;
        let mut member = self.log_in_with(connect)?;
        if member.as_ref().is_err_and(|no| no.reason == Reason::QUOTA)
            && let Some(user) = connect.user
        {
            // The user has as many connections as it may, and this one may take the place of one
            // that has gone without a word. Who is told of a quota has said the password.
            let name = SessionName { user: Some(user.into()), client: connect.client_id.into() };
            if self.shared.mqtt.end_connection(&name, until) == Ok(true) {
                member = self.log_in_with(connect)?;
            }
        }
        let member = match member {
            Ok(member) => member,
            Err(no) => return self.turn_down(version, &no),
        };
        self.become_member(member);
        let mut assigned = None;
        let name = if connect.client_id.is_empty() {
            match random_name() {
                Ok(name) => &*assigned.insert(name),
                Err(no) => return self.turn_down(version, &no),
            }
        } else {
            connect.client_id
        };
        if name.len() > MOST_NAME {
            let words = format!("a client identifier has at most {MOST_NAME} bytes here");
            return self.turn_down(version, &No::new(Reason::CLIENT_ID, words));
        }
        let format = self.mqtt.as_ref().map(|mqtt| mqtt.format).unwrap_or_default();
        let limits = self.shared.config.limits;
        let will = match connect.will.as_ref().map(|will| self.judge_will(will, format, limits)) {
            None => None,
            Some(Ok(will)) => Some(Box::new(will)),
            Some(Err((reason, refusal))) => {
                let words = format!("the will: {refusal}");
                return self.turn_down(version, &No::new(reason, words));
            }
        };
        let manner = Manner {
            version,
            dialect: format.dialect(),
            windows: (
                connect.receive_maximum.unwrap_or(WINDOW).min(MOST_IN_FLIGHT as u16),
                // Clients of the versions before cannot be told of a bound.
                if version.is_5() { WINDOW } else { u16::MAX },
            ),
            limit: connect.maximum_packet_size.map_or(usize::MAX, |limit| limit as usize),
            wants_reasons: connect.wants_reasons,
            limits,
            takes_all: format.takes_all(),
            wall_clock,
        };
        let user = match self.rights() {
            Rights::Of(user) => Some(user.shared_name()),
            _ => None,
        };
        let name = SessionName { user, client: name.into() };
        let memory = self.purse.claim_to_keep(0).unwrap_or_default();
        let talk = Arc::new(Mutex::new(Talk::new(&manner, memory)));
        let taken = self.shared.mqtt.take(&name, (self.client, &self.line, &talk), until);
        let Ok((seat, away)) = taken else {
            let words =
                "another connection has this client identifier, and does not end; try again";
            return self.turn_down(version, &No::new(Reason::BUSY, words));
        };
        let lane = self.shared.backlog.lane();
        let away = match away {
            Some(away) if connect.clean => {
                away.end().say(&lane);
                None
            }
            Some(away) if away.is_over() => {
                let (stored, word) = away.fade();
                word.say(&lane);
                stored.map(|stored| Absent::Stored(Box::new(stored)))
            }
            away => away,
        };
        let connack = Connack {
            session_present: away.is_some(),
            assigned_client_id: assigned.as_deref(),
            receive_maximum: version.is_5().then_some(WINDOW),
            maximum_packet_size: u32::try_from(self.most_of_packet()).ok(),
            topic_alias_maximum: Some(ALIASES),
            ..Connack::default()
        };
        let mut out = Vec::new();
        if connack.put(version, &mut out, manner.limit).is_err() {
            // A client that takes so little cannot be told anything.
            drop(self.shared.mqtt.leave(seat, away));
            return Ok(Goes::NoFurther);
        }
        if let Err(error) = self.push(&[&out]) {
            drop(self.shared.mqtt.leave(seat, away));
            return Err(error);
        }
        self.begin_talk(connect, (seat, talk, away), &manner, will)?;
        Ok(Goes::On)
    }

    /// Begins with the session, or goes on with it.
    fn begin_talk(
        &mut self,
        connect: &Connect<'_>,
        (mut seat, mut talk, away): (Seat, Arc<Mutex<Talk>>, Option<Absent>),
        manner: &Manner,
        will: Option<Box<Will>>,
    ) -> io::Result<()> {
        let (mut session, mut written, mut goes_on) = (None, None, None);
        let (inbox, fate) = match away {
            Some(Absent::Kept(kept)) => {
                let Kept { client, inbox, fate, talk: known, lasting, written: before, .. } = *kept;
                written = before;
                session = lasting.map(|lasting| lasting.id);
                goes_on = Some(true);
                talk = known;
                talk.lock().resume(manner, inbox.waiting());
                // The dispatcher knows the session by this number.
                self.shared.connections.rename(self.client, client);
                self.client = client;
                self.shared.mqtt.resume(&mut seat, client, &talk);
                let _ = self.events.send(Event::Rejoin { client, peer: self.peer });
                (inbox, fate)
            }
            away => {
                if let Some(Absent::Stored(stored)) = away {
                    let lasting = stored.lasting;
                    let mut talk = talk.lock();
                    lasting.subscriptions.into_iter().for_each(|it| drop(talk.grant(it)));
                    (session, written) = (Some(lasting.id), Some(lasting.expiry));
                    goes_on = Some(false);
                }
                let (outbox, inbox) = self.new_outbox();
                let fate = outbox.fate();
                self.tell_of(outbox);
                (inbox, fate)
            }
        };
        // The keepalive of a client is the longest that it is silent; half as long again is waited.
        let keep_alive = Duration::from_secs(connect.keep_alive.into()) * 3 / 2;
        let lent = inbox.lend();
        let is_kept = connect.session_expiry > 0;
        if let Some(mqtt) = &mut self.mqtt {
            mqtt.known = Some(Known {
                version: connect.version,
                talk,
                seat: Some(seat),
                inbox,
                aliases: Aliases::new(ALIASES),
                claimed: 0,
                will,
                expiry: connect.session_expiry,
                written,
                session: session.or_else(|| if is_kept { unheard_of() } else { None }),
                window: manner.windows.0,
                keep_alive: (connect.keep_alive > 0).then_some(keep_alive),
                heard: Instant::now(),
                is_turned_out: false,
            });
        }
        if let Some(is_known) = goes_on {
            self.subscribe_again(is_known);
        }
        self.start_writer(lent, fate, None)
    }

    /// Who the client is.
    fn log_in_with(&mut self, connect: &Connect<'_>) -> io::Result<Result<Member, No>> {
        let user = connect.user.filter(|user| !user.is_empty());
        let credentials = match (user, connect.password) {
            (None, None) => None,
            (user, password) => {
                let Ok(password) = std::str::from_utf8(password.unwrap_or_default()) else {
                    let words = "the password is not UTF-8, and so no user's";
                    return Ok(Err(No::new(Reason::BAD_LOGIN, words)));
                };
                Some(match user {
                    Some(user) => {
                        Credentials::Password { user: user.into(), password: password.into() }
                    }
                    None => Credentials::Token(password.into()),
                })
            }
        };
        let mut before = self.member.take();
        if before.is_none() {
            let certified = match self.peer {
                Peer::Tcp(_) => self.incoming.certificate_name().map(str::to_owned),
                Peer::Unix { .. } => None,
            };
            before = match self.shared.users.meet(certified.as_deref()) {
                Ok(member) => Some(member),
                Err(refusal) => return Ok(Err(No::of(&refusal))),
            };
        }
        if let Some(credentials) = credentials {
            match self.verify(&credentials, &mut before)? {
                Ok(Some(member)) => return Ok(Ok(member)),
                // There are no users.
                Ok(None) => {}
                Err(refusal) => return Ok(Err(No::of(&refusal))),
            }
        }
        match before {
            Some(member) if !member.awaits_login() => Ok(Ok(member)),
            _ => {
                let words = "log in with a user name and a password";
                Ok(Err(No::new(Reason::NOT_AUTHORIZED, words)))
            }
        }
    }

    /// Says that there is no session, and why.
    fn turn_down(&mut self, version: Version, no: &No) -> io::Result<Goes> {
        Counters::add(&self.shared.counters.refused, 1);
        let (client, peer, reason) = (self.client, self.peer, &no.words);
        tracing::info!(%client, %peer, reason, "connection refused");
        self.answer_no(version, no)?;
        Ok(Goes::NoFurther)
    }

    fn answer_no(&mut self, version: Version, no: &No) -> io::Result<()> {
        let reason_string = Some(no.words.as_str());
        let connack = Connack { reason: no.reason, reason_string, ..Connack::default() };
        let mut out = Vec::new();
        if connack.put(version, &mut out, usize::MAX) == Ok(true) {
            self.push(&[&out])?;
        }
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.end();
            self.incoming.discard_for(FAREWELL);
        }
        Ok(())
    }
}

impl No {
    fn of(refusal: &Refusal) -> No {
        let reason = match refusal.code {
            ErrorCode::LoginFailed => Reason::BAD_LOGIN,
            ErrorCode::TooManyConnections => Reason::QUOTA,
            _ => Reason::NOT_AUTHORIZED,
        };
        No::new(reason, refusal.reason.clone())
    }
}

/// A name for a client that has none.
fn random_name() -> Result<String, No> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes).map_err(|error| {
        No::new(Reason::UNSPECIFIED, format!("the broker cannot choose a name: {error}"))
    })?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("auto-{digits}"))
}
