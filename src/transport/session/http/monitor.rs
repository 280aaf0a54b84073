//! What is asked of the broker itself by HTTP: its metrics, and who is connected.

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::time::Duration;

use super::ask::{PATIENCE, no_answer};
use super::streams::said_within;
use super::{Answer, Session, no_memory};
use crate::broker::sync::Instant;
use crate::broker::{
    CLIENTS_TOGETHER, CONSUMERS_TOLD, ClientId, ClientReport, Query, StreamNumbers, StreamReport,
    StreamSummary,
};
use crate::codec::Claim;
use crate::http::{ClientEntry, Problem, Response, metrics, page_of_clients};
use crate::transport::connections::Listed;
use crate::transport::process;

/// Bytes of memory that a client with many subscriptions takes in an answer: as it is told, and
/// while it is put together.
const CLIENT_BYTES: usize = 16 << 10;
/// How long a scrape waits for the threads of streams, all together. It is answered without what
/// they do not say: they may wait for a disk, and what else there is to be seen is wanted then.
const UNTIL_SAID: Duration = Duration::from_millis(250);
/// Bytes of memory that a stream or a consumer takes in the answer to a scrape, with its names in
/// each line.
const LINES_BYTES: usize = 2 << 10;

impl Session {
    /// The answer to a scrape.
    pub(super) fn metrics(&mut self) -> Answer {
        self.rights().stats(self.peer)?;
        let stats = self.query(Query::Stats, Instant::now() + PATIENCE);
        let mut stats = stats.ok_or_else(no_answer)?;
        self.shared.counters.fill(&mut stats);
        stats.process = process::look();
        let (streams, claim) = self.numbers_of_streams()?;
        stats.streams = streams;
        stats.spoken = self.shared.connections.spoken();
        stats.inflight = Some(self.shared.mqtt.inflight());
        let response = metrics(&stats);
        Ok(match claim.bytes() {
            0 => response,
            _ => self.holding(claim, response),
        })
    }

    /// What there is to be said of streams and consumers, in memory that is claimed for that.
    fn numbers_of_streams(&self) -> Result<(Vec<StreamNumbers>, Claim), Problem> {
        let until = Instant::now() + PATIENCE;
        let mut streams = self.query(Query::Streams, until).ok_or_else(no_answer)?;
        if streams.is_empty() {
            return Ok((Vec::new(), Claim::nothing()));
        }
        streams.sort_by(|one, other| one.definition().name.cmp(&other.definition().name));
        let asked = self.query(Query::Consumers, until).ok_or_else(no_answer)?;
        let (said, _) = said_within(&asked, UNTIL_SAID);
        let mut said: HashMap<&str, StreamReport> = said.into_iter().collect();
        let count: usize = said.values().map(|report| report.consumers.len()).sum();
        let lines = streams.len() + count.min(CONSUMERS_TOLD);
        let claim = self.claim_to_write(lines * LINES_BYTES).ok_or_else(no_memory)?;
        let numbers = |stream: &StreamSummary| {
            let said = said.remove(stream.definition().name.as_str());
            stream.numbers(said)
        };
        Ok((streams.iter().map(numbers).collect(), claim))
    }

    /// Who is connected, at most `limit` clients behind one.
    pub(super) fn clients(&self, after: Option<u64>, limit: usize) -> io::Result<Answer> {
        if let Err(refusal) = self.rights().clients(self.peer) {
            return Ok(Err(refusal.into()));
        }
        let Some(_claim) = self.claim_to_write(limit * CLIENT_BYTES) else {
            return Ok(Err(no_memory()));
        };
        // One more of each says whether there are more.
        let after = after.map(ClientId);
        let mut listed = self.shared.connections.list(after, limit + 1);
        let away = self.shared.mqtt.away(after, limit + 1);
        listed.extend(away.into_iter().map(|(client, peer)| Listed {
            client,
            peer,
            protocol: "mqtt",
        }));
        listed.sort_by_key(|one| one.client);
        // A client that has come back meanwhile is a connection and away.
        listed.dedup_by_key(|one| one.client);
        let is_more = listed.len() > limit;
        listed.truncate(limit);
        let next = listed.last().filter(|_| is_more).map(|last| last.client);
        let ids: Vec<ClientId> = listed.iter().map(|one| one.client).collect();
        let Some(reports) = self.reports(&ids) else { return Ok(Err(no_answer())) };
        let mut reports = reports.into_iter().peekable();
        let entry = |one: Listed| ClientEntry {
            client: one.client,
            peer: one.peer,
            protocol: one.protocol,
            session: self.shared.mqtt.report(one.client),
            report: reports.next_if(|report| report.client == one.client),
        };
        let entries = listed.into_iter().map(entry).collect();
        Ok(Ok(page_of_clients(entries, next)))
    }

    /// What the dispatcher knows of these, a part at a time, so that nobody waits for long.
    fn reports(&self, mut ids: &[ClientId]) -> Option<Vec<ClientReport>> {
        let until = Instant::now() + PATIENCE;
        let mut reports = Vec::new();
        while !ids.is_empty() {
            let some = ids[..ids.len().min(CLIENTS_TOGETHER)].to_vec();
            let (found, looked_at) = self.query(|asker| Query::Clients(some, asker), until)?;
            reports.extend(found);
            ids = &ids[looked_at.clamp(1, ids.len())..];
        }
        Some(reports)
    }

    /// Ends a connection, or the session of a client that is away.
    pub(super) fn disconnect(&self, client: u64) -> Answer {
        let client = ClientId(client);
        self.rights().clients(self.peer)?;
        let connections = &self.shared.connections;
        let Some(protocol) = connections.protocol(client) else {
            if let Some(word) = self.shared.mqtt.end_away(client) {
                word.say(&self.shared.backlog.lane());
                return Ok(Response::new(204));
            }
            let what = format!("there is no client {client}, or not any more");
            return Err(Problem::new(404, what));
        };
        // To who speaks HTTP nothing is told that it has not asked for.
        let is_told = protocol != "http" && {
            let told = |asker| Query::Disconnect(client, asker);
            self.query(told, Instant::now() + PATIENCE).ok_or_else(no_answer)?
        };
        if !is_told {
            // What has arrived of it is read, and then it ends.
            connections.end(client, Shutdown::Read);
        }
        Ok(Response::new(204))
    }
}
