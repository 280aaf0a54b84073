//! TLS 1.3 of the load generator: the same for every broker, with one cipher suite, so that only
//! the brokers differ. Records are opened where they lie and sealed into one buffer, so that the
//! generator costs little beside what it measures.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{ClientConfig, RootCertStore};

/// As much as is read at once, and as a record may have beside it (RFC 8446 §5.2).
const READ: usize = 64 << 10;
const RECORD: usize = (16 << 10) + 256 + 5;
/// The buffer of a connection that has read little.
const SMALLEST: usize = 4 << 10;
/// The name in every broker's certificate.
const NAME: &str = "localhost";

/// Trusts the authority in a file. One cipher suite and one group for the key exchange, and no
/// resumption: every handshake is a full one.
pub(crate) fn client(authority: &Path) -> Result<Arc<ClientConfig>> {
    let mut provider = ring::default_provider();
    provider.cipher_suites = vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    provider.kx_groups = vec![ring::kx_group::X25519];
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authority);
    roots.add(certificate.with_context(|| format!("cannot read {}", authority.display()))?)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// A connection whose handshake is done.
pub(crate) struct Sealed {
    state: UnbufferedClientConnection,
    socket: TcpStream,
    /// `incoming[start..end]` was read and not opened.
    incoming: Vec<u8>,
    start: usize,
    end: usize,
    /// Plain text for which there was no room.
    left: VecDeque<u8>,
    /// What is to be sent.
    outgoing: Vec<u8>,
}

/// What a look at the records came to.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// More can be done at once.
    Again,
    /// More is to be read first, or written.
    Waits,
    /// The broker says that nothing follows.
    Over,
}

fn wrong(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

impl Sealed {
    /// Shakes hands, however long that takes.
    pub(crate) fn begin(socket: TcpStream, config: &Arc<ClientConfig>) -> Result<Sealed> {
        let state = UnbufferedClientConnection::new(config.clone(), ServerName::try_from(NAME)?)?;
        let mut sealed = Sealed {
            state,
            socket,
            incoming: vec![0; SMALLEST],
            start: 0,
            end: 0,
            left: VecDeque::new(),
            outgoing: Vec::new(),
        };
        loop {
            match sealed.step(&mut [], &mut 0)? {
                Step::Again => {}
                Step::Waits if !sealed.state.is_handshaking() => return Ok(sealed),
                Step::Waits => match sealed.receive() {
                    Ok(0) => bail!("the broker closed the connection during the handshake"),
                    Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                    _ => {}
                },
                Step::Over => bail!("the broker ended TLS during the handshake"),
            }
        }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Says that nothing follows.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.outgoing.resize(RECORD, 0);
        let status = self.state.process_tls_records(&mut []);
        let written = match status.state.map_err(wrong)? {
            ConnectionState::WriteTraffic(mut traffic) => {
                traffic.queue_close_notify(&mut self.outgoing).map_err(wrong)?
            }
            _ => return Err(ErrorKind::NotConnected.into()),
        };
        self.socket.write_all(&self.outgoing[..written])
    }

    /// Reads once from the socket.
    fn receive(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 {
            self.incoming.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        // A reader of much has a buffer that is full.
        if self.end == self.incoming.len() {
            self.incoming.resize((2 * self.end).min(READ + RECORD), 0);
        }
        let count = self.socket.read(&mut self.incoming[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// Does one thing: opens a record, or answers. Plain text goes to `plain[*filled..]`.
    fn step(&mut self, plain: &mut [u8], filled: &mut usize) -> io::Result<Step> {
        let UnbufferedStatus { mut discard, state, .. } =
            self.state.process_tls_records(&mut self.incoming[self.start..self.end]);
        let step = match state.map_err(wrong)? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(wrong)?;
                    discard += record.discard;
                    let room = &mut plain[*filled..];
                    let (fits, rest) =
                        record.payload.split_at(record.payload.len().min(room.len()));
                    room[..fits.len()].copy_from_slice(fits);
                    *filled += fits.len();
                    self.left.extend(rest);
                }
                Step::Again
            }
            ConnectionState::EncodeTlsData(mut data) => {
                let from = self.outgoing.len();
                self.outgoing.resize(from + RECORD, 0);
                let written = match data.encode(&mut self.outgoing[from..]) {
                    Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                        self.outgoing.resize(from + required_size, 0);
                        data.encode(&mut self.outgoing[from..])
                    }
                    encoded => encoded,
                };
                self.outgoing.truncate(from + written.map_err(wrong)?);
                Step::Again
            }
            ConnectionState::TransmitTlsData(data) => {
                self.socket.write_all(&self.outgoing)?;
                self.outgoing.clear();
                data.done();
                Step::Again
            }
            ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => Step::Waits,
            ConnectionState::PeerClosed | ConnectionState::Closed => Step::Over,
            _ => return Err(io::Error::other("TLS is in a state that is not known here")),
        };
        self.start += discard;
        Ok(step)
    }
}

impl Read for Sealed {
    fn read(&mut self, plain: &mut [u8]) -> io::Result<usize> {
        // There is seldom any, and never with a large buffer.
        let mut filled = self.left.read(plain)?;
        loop {
            // A record that has no room in `plain` stays as it is.
            while self.start < self.end && (filled == 0 || plain.len() - filled >= RECORD) {
                match self.step(plain, &mut filled)? {
                    Step::Again => {}
                    Step::Waits => break,
                    Step::Over => return Ok(filled),
                }
            }
            if filled > 0 {
                return Ok(filled);
            }
            if self.receive()? == 0 {
                return Ok(0);
            }
        }
    }
}

impl Write for Sealed {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        let written = loop {
            let status = self.state.process_tls_records(&mut []);
            let ConnectionState::WriteTraffic(mut traffic) = status.state.map_err(wrong)? else {
                // A change of keys that is to be answered: more than a benchmark's bytes away.
                return Err(io::Error::other("TLS has something to say in between"));
            };
            match traffic.encrypt(plain, &mut self.outgoing) {
                Ok(written) => break written,
                Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    self.outgoing.resize(required_size, 0);
                }
                Err(error) => return Err(wrong(error)),
            }
        };
        self.socket.write_all(&self.outgoing[..written])?;
        Ok(plain.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
