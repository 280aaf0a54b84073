//! What a service manager is told, and asks: systemd's notification protocol, one datagram a
//! message.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager that started this process, if one did.
pub(super) struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Manager {
    /// The manager that the environment names.
    pub(super) fn from_environment() -> Manager {
        let socket = env::var("NOTIFY_SOCKET").ok().and_then(|name| connect(&name).ok());
        let concerns_us =
            env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
        let microseconds = env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        let watchdog =
            microseconds.filter(|&span| concerns_us && span > 0).map(Duration::from_micros);
        Manager { socket, watchdog }
    }

    /// How often the manager wants a sign of life, with time to spare; `None` if it wants none.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.socket.as_ref().and(self.watchdog).map(|span| span / 2)
    }

    pub(super) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    pub(super) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=routing and writing out what was accepted");
    }

    pub(super) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, message: &str) {
        if let Some((socket, manager)) = &self.socket {
            // A manager that does not listen is no reason to end; it will notice by itself.
            let _ = socket.send_to_addr(message.as_bytes(), manager);
        }
    }
}

fn connect(name: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    Ok((UnixDatagram::unbound()?, address))
}
