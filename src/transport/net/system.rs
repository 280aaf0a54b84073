//! Linux's sockets, and its way to wait for many of them.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::Interest;
use mio::unix::SourceFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg};
use socket2::TcpKeepalive;

use crate::broker::Peer;
use crate::protocol::{KEEPALIVE_INTERVAL, KEEPALIVE_PROBES};
use crate::transport::config::Config;
use crate::transport::line::Wait;

pub(in crate::transport) use crate::transport::bound::Bound;
pub(in crate::transport) use mio::{Events, Poll, Registry, Token, Waker};
pub(in crate::transport) use socket2::Socket;

/// The bounds of Linux for the time of a keepalive; with another no connection could be accepted.
const SHORTEST_KEEPALIVE: Duration = Duration::from_secs(1);
const LONGEST_KEEPALIVE: Duration = Duration::from_secs(32_767);
/// The same of a user timeout.
const LONGEST_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// Says how the system is to treat a connection.
///
/// # Errors
/// Any error of the system.
pub(in crate::transport) fn set_options(
    socket: &Socket,
    peer: Peer,
    config: &Config,
) -> io::Result<()> {
    // A Unix socket sends at once, and knows when its peer is gone.
    if !matches!(peer, Peer::Tcp(_)) {
        return Ok(());
    }
    // Small frames that nobody waits to fill up are what a broker sends.
    socket.set_tcp_nodelay(true)?;
    if let Some(time) = config.keepalive {
        let time = time.clamp(SHORTEST_KEEPALIVE, LONGEST_KEEPALIVE);
        let interval = time.min(KEEPALIVE_INTERVAL);
        let keepalive = TcpKeepalive::new()
            .with_time(time)
            .with_interval(interval)
            .with_retries(KEEPALIVE_PROBES);
        socket.set_tcp_keepalive(&keepalive)?;
        // The system asks nobody who has yet to acknowledge something, and sends that again for a
        // quarter of an hour. A client that is there and does not read is for the writer to judge,
        // so it is not given up earlier.
        let asked = time.saturating_add(interval * KEEPALIVE_PROBES);
        let unheard = asked.max(config.write_timeout).min(LONGEST_USER_TIMEOUT);
        socket.set_tcp_user_timeout(Some(unheard))?;
    }
    Ok(())
}

/// Gives pieces to a socket. Returns how many bytes it took.
///
/// # Errors
/// Any error of the system.
#[inline]
pub(in crate::transport) fn send(
    socket: &Socket,
    pieces: &[IoSlice<'_>],
    wait: Wait,
) -> io::Result<usize> {
    let flags = match wait {
        Wait::Tick => SendFlags::NOSIGNAL,
        Wait::No => SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    };
    Ok(sendmsg(socket, pieces, &mut SendAncillaryBuffer::default(), flags)?)
}

/// Reads what is there.
///
/// # Errors
/// Any error of the system.
pub(in crate::transport) fn receive_at_once(
    socket: &Socket,
    buffer: &mut [u8],
) -> io::Result<usize> {
    Ok(recv(socket, buffer, RecvFlags::DONTWAIT)?.0)
}

/// Whether the peer has ended the connection, or, where that is enough, its direction of it.
pub(in crate::transport) fn is_over(socket: &Socket, one_direction: bool) -> bool {
    let ends = PollFlags::HUP | PollFlags::ERR;
    let ends = if one_direction { ends | PollFlags::RDHUP } else { ends };
    let mut watched = [PollFd::new(socket, ends)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&now)).is_ok_and(|_| watched[0].revents().intersects(ends))
}

/// Reports when there is something to read, at once if there is already.
///
/// # Errors
/// Any error of the system.
pub(in crate::transport) fn watch(
    socket: &Socket,
    registry: &Registry,
    token: Token,
) -> io::Result<()> {
    registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)
}

/// Reports nothing any more.
///
/// # Errors
/// Any error of the system.
pub(in crate::transport) fn watch_no_more(socket: &Socket, registry: &Registry) -> io::Result<()> {
    registry.deregister(&mut SourceFd(&socket.as_raw_fd()))
}
