//! A socket that is listened on.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::fs::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

use super::listen_url::{LARGEST_MODE, ListenUrl};
use crate::broker::Peer;

/// Connections that the system may hold before they are accepted.
const BACKLOG: i32 = 1_024;
/// How long it is tried to find out whether somebody listens.
const PATIENCE: Duration = Duration::from_secs(1);

/// A socket that is listened on. The file of a Unix socket goes with it.
#[derive(Debug)]
pub(super) struct Bound {
    socket: Socket,
    url: ListenUrl,
    file: Option<SocketFile>,
}

/// The file of a Unix socket, by its place and its number: another broker may have put one of its
/// own there meanwhile.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Bound {
    /// Listens where `url` says.
    ///
    /// # Errors
    /// Any error of the system; `AddrInUse` where somebody listens already, `AlreadyExists` where
    /// there is a file that is no socket.
    pub(super) fn listen(url: &ListenUrl) -> io::Result<Bound> {
        match url {
            // A name is looked up before.
            ListenUrl::Host { .. } => Err(ErrorKind::InvalidInput.into()),
            ListenUrl::Tcp(address)
            | ListenUrl::Tls(address)
            | ListenUrl::Http(address)
            | ListenUrl::Https(address)
            | ListenUrl::Mqtt(address, _)
            | ListenUrl::Mqtts(address, _) => {
                let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
                // A broker that is restarted need not wait for the connections of the one before to
                // be forgotten.
                socket.set_reuse_address(true)?;
                socket.bind(&(*address).into())?;
                socket.listen(BACKLOG)?;
                let taken = socket.local_addr()?.as_socket().unwrap_or(*address);
                Ok(Bound { socket, url: url.with_address(taken), file: None })
            }
            ListenUrl::Unix { path, mode } => {
                let address = SockAddr::unix(path)?;
                make_way(path, &address)?;
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                // The file is made with no more than these, so that nobody connects before they are
                // set; the umask may have taken some away.
                fchmod(&socket, Mode::from_raw_mode(*mode))?;
                socket.bind(&address)?;
                let metadata = fs::symlink_metadata(path)?;
                let file = SocketFile {
                    path: path.clone(),
                    device: metadata.dev(),
                    inode: metadata.ino(),
                };
                let bound = Bound { socket, url: url.clone(), file: Some(file) };
                if metadata.mode() & LARGEST_MODE != *mode {
                    fs::set_permissions(path, fs::Permissions::from_mode(*mode))?;
                }
                bound.socket.listen(BACKLOG)?;
                Ok(bound)
            }
        }
    }

    /// Where it listens, with the port that it took.
    pub(super) fn url(&self) -> &ListenUrl {
        &self.url
    }

    /// The next connection, and who made it.
    ///
    /// # Errors
    /// Any error of the system.
    pub(super) fn accept(&self) -> io::Result<(Socket, Peer)> {
        let (socket, address) = self.socket.accept()?;
        let peer = match address.as_socket() {
            Some(address) => Peer::Tcp(address),
            None => {
                // One whose credentials cannot be had is gone, or should be.
                let credentials = getsockopt(&socket, PeerCredentials)
                    .map_err(|_| io::Error::from(ErrorKind::ConnectionAborted))?;
                // A process in another namespace has no number here, and is said to be 0.
                let process = u32::try_from(credentials.pid()).ok().filter(|process| *process > 0);
                Peer::Unix { user: credentials.uid(), process }
            }
        };
        Ok((socket, peer))
    }

    /// Wakes whoever waits for a connection: it gets an error, or a connection that nobody made.
    pub(super) fn wake(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        // Where a socket that listens is not woken by that, it is by a connection.
        if let Ok(mut address) = self.socket.local_addr() {
            if let Some(tcp) = address.as_socket().filter(|tcp| tcp.ip().is_unspecified()) {
                let local: IpAddr = match tcp {
                    SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                };
                address = SocketAddr::new(local, tcp.port()).into();
            }
            let _ = connect(&address);
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(SocketFile { path, device, inode }) = &self.file
            && fs::symlink_metadata(path)
                .is_ok_and(|now| (now.dev(), now.ino()) == (*device, *inode))
        {
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes a socket that a broker has left which did not end in peace.
fn make_way(path: &Path, address: &SockAddr) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            let why = "there is a file that is no socket; move it away, or listen elsewhere";
            return Err(io::Error::new(ErrorKind::AlreadyExists, why));
        }
        Ok(_) => {}
    }
    match connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let why =
                "there is a socket that this user may not connect to, perhaps of another broker";
            Err(io::Error::new(ErrorKind::AddrInUse, why))
        }
        _ => Err(ErrorKind::AddrInUse.into()),
    }
}

fn connect(address: &SockAddr) -> io::Result<()> {
    Socket::new(address.domain(), Type::STREAM, None)?.connect_timeout(address, PATIENCE)
}
