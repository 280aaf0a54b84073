//! What is asked of the broker itself by HTTP: its metrics, and who is connected.

use std::io;
use std::net::Shutdown;

use super::ask::{PATIENCE, no_answer};
use super::{Answer, Session};
use crate::broker::sync::Instant;
use crate::broker::{CLIENTS_TOGETHER, ClientId, ClientReport, Query};
use crate::http::{ClientEntry, Problem, Response, metrics, page_of_clients};
use crate::transport::process;

/// Bytes of memory that a client with many subscriptions takes in an answer: as it is told, and
/// while it is put together.
const CLIENT_BYTES: usize = 16 << 10;

impl Session {
    /// The answer to a scrape.
    pub(super) fn metrics(&self) -> Answer {
        self.rights().stats(self.peer)?;
        let stats = self.query(Query::Stats, Instant::now() + PATIENCE);
        let mut stats = stats.ok_or_else(no_answer)?;
        self.shared.counters.fill(&mut stats);
        stats.process = process::look();
        Ok(metrics(&stats))
    }

    /// Who is connected, at most `limit` clients behind one.
    pub(super) fn clients(&self, after: Option<u64>, limit: usize) -> io::Result<Answer> {
        if let Err(refusal) = self.rights().clients(self.peer) {
            return Ok(Err(refusal.into()));
        }
        let Some(_claim) = self.claim_to_write(limit * CLIENT_BYTES) else {
            return Ok(Err(super::no_memory()));
        };
        // One more says whether there are more.
        let mut listed = self.shared.connections.list(after.map(ClientId), limit + 1);
        let is_more = listed.len() > limit;
        listed.truncate(limit);
        let next = listed.last().filter(|_| is_more).map(|last| last.client);
        let ids: Vec<ClientId> = listed.iter().map(|one| one.client).collect();
        let Some(reports) = self.reports(&ids) else { return Ok(Err(no_answer())) };
        let mut reports = reports.into_iter().peekable();
        let entry = |one: crate::transport::connections::Listed| ClientEntry {
            client: one.client,
            peer: one.peer,
            protocol: one.protocol,
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

    /// Ends a connection.
    pub(super) fn disconnect(&self, client: u64) -> Answer {
        let client = ClientId(client);
        self.rights().clients(self.peer)?;
        let connections = &self.shared.connections;
        let Some(protocol) = connections.protocol(client) else {
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
