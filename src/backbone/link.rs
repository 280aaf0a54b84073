//! The connection to a server of NATS, made anew whenever it is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Event, ServerAddr};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::options::{Login, shown};

/// Between two rounds of all servers that none of answers: at first, and at most.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Whether there is a connection.
#[derive(Clone, Debug)]
pub(super) enum Link {
    /// Nothing is known yet.
    Begun,
    /// There is none, and why.
    Down(Arc<str>),
    /// There is one.
    Up(Connection),
}

/// One connection, from when it was made until it is lost.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// Which one.
    pub(super) number: u64,
    /// The client that has it.
    pub(super) client: Client,
    /// The server's address.
    pub(super) server: Arc<str>,
}

/// Keeps a connection, and tells `link` of it; it ends when nobody listens there.
///
/// Each connection has a client of its own. One that reconnects by itself keeps what it was given
/// to send, and sends it whenever it is back: a message that was tried again meanwhile would then
/// come behind others, and after the time within which the server knows repeats it would be stored
/// twice.
pub(super) async fn keep(login: Login, link: watch::Sender<Link>) {
    let mut servers: VecDeque<ServerAddr> = login.servers.iter().cloned().collect();
    let (mut number, mut pause) = (0, PAUSE);
    loop {
        let mut reasons = Vec::new();
        let mut found = None;
        for _ in 0..servers.len() {
            let Some(server) = servers.front().cloned() else { break };
            match connect(&login, &server).await {
                Ok(connected) => {
                    found = Some((server, connected));
                    break;
                }
                Err(reason) => {
                    reasons.push(format!("{} ({reason})", shown(&server)));
                    servers.rotate_left(1);
                }
            }
            if link.is_closed() {
                return;
            }
        }
        let Some((server, (client, mut events))) = found else {
            link.send_replace(Link::Down(unreached(&reasons).into()));
            tokio::select! {
                () = sleep(pause) => {}
                () = link.closed() => return,
            }
            pause = LONGEST_PAUSE.min(pause * 2);
            continue;
        };
        (number, pause) = (number + 1, PAUSE);
        let server_name = shown(&server);
        tracing::info!(server = %server_name, "connected to NATS");
        learn(&mut servers, &client, &server);
        let name = Arc::from(server_name.as_str());
        link.send_replace(Link::Up(Connection { number, client, server: name }));
        let lost = tokio::select! {
            lost = end(&mut events) => lost,
            () = link.closed() => return,
        };
        tracing::warn!(server = %server_name, reason = %lost, "the connection to NATS is lost");
        let reason = format!("the connection to {server_name} is lost ({lost})");
        link.send_replace(Link::Down(reason.into()));
        // Another one first, where there is one.
        servers.rotate_left(1);
    }
}

/// A connection for once, to the first server that answers, and that server's address.
///
/// # Errors
/// Why none is reached.
pub(super) async fn once(login: &Login) -> Result<(String, Client), String> {
    let mut reasons = Vec::new();
    for server in &login.servers {
        match connect(login, server).await {
            Ok((client, _)) => return Ok((shown(server), client)),
            Err(reason) => reasons.push(format!("{} ({reason})", shown(server))),
        }
    }
    Err(unreached(&reasons))
}

/// Why a server is too old for topics to be shared by it, if it is.
pub(super) fn too_old(client: &Client) -> Option<String> {
    let version = client.server_info().version;
    (!client.is_server_compatible(2, 10, 0))
        .then(|| format!("it is NATS {version}, and a consumer of several subjects takes 2.10"))
}

fn unreached(reasons: &[String]) -> String {
    format!("no server of NATS is reached at {}", reasons.join(", "))
}

type Connected = (Client, mpsc::UnboundedReceiver<Event>);

/// A connection to this server.
async fn connect(login: &Login, server: &ServerAddr) -> Result<Connected, String> {
    let (said, events) = mpsc::unbounded_channel();
    let options = login.options(server).event_callback(move |event| {
        let _ = said.send(event);
        std::future::ready(())
    });
    let client = async_nats::connect_with_options(server.clone(), options).await;
    Ok((client.map_err(|error| error.to_string())?, events))
}

/// Adds the servers that this one knows of.
fn learn(servers: &mut VecDeque<ServerAddr>, client: &Client, server: &ServerAddr) {
    for url in &client.server_info().connect_urls {
        let url = format!("{}://{url}", server.scheme());
        let Ok(found) = url.parse::<ServerAddr>() else { continue };
        let is_same = |known: &ServerAddr| shown(known) == shown(&found);
        // As many as a cluster may have, whatever a server says.
        if servers.len() < 64 && !servers.iter().any(is_same) {
            servers.push_back(found);
        }
    }
}

/// Waits until the connection is lost, and says why, as far as that is known.
async fn end(events: &mut mpsc::UnboundedReceiver<Event>) -> String {
    let mut reason = None;
    loop {
        match events.recv().await {
            None | Some(Event::Closed) => return reason.unwrap_or_else(|| "closed".to_owned()),
            Some(Event::Disconnected) => {
                return reason.unwrap_or_else(|| "the server is gone".to_owned());
            }
            Some(Event::ServerError(error)) => {
                tracing::warn!(%error, "NATS says that something is wrong");
                reason = Some(error.to_string());
            }
            Some(Event::SlowConsumer(_)) => {
                tracing::warn!("messages of NATS were not taken in time; they are read again");
            }
            Some(Event::LameDuckMode) => tracing::info!("the server of NATS is about to stop"),
            Some(_) => {}
        }
    }
}
