//! Connections in plain text, by TLS and by WebSocket, which keep the same promises: a test of those is run over
//! each.

use std::cell::Cell;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use babelmq::{BrokerHandle, Config, ListenUrl, TlsFiles};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::websocket::{self, WebSocket};

/// What a connection makes of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Tls,
    /// In binary messages of a WebSocket.
    WebSocket,
}

thread_local! {
    static KIND: Cell<Kind> = const { Cell::new(Kind::Plain) };
}

/// Runs a test. The configurations that its thread asks for are of brokers that listen for
/// connections of this kind, and so are the clients that connect to them.
pub fn over(kind: Kind, test: fn()) {
    /// A test that fails may leave its thread to others.
    struct Plain;
    impl Drop for Plain {
        fn drop(&mut self) {
            KIND.set(Kind::Plain);
        }
    }
    let _plain = Plain;
    KIND.set(kind);
    test();
}

/// Makes of each function two tests: one in plain text, and one by TLS.
macro_rules! over_each_line {
    ($($test:ident),+ $(,)?) => {
        mod plain {
            use crate::support::line::{Kind, over};
            $(#[test] fn $test() { over(Kind::Plain, super::$test); })+
        }
        mod tls {
            use crate::support::line::{Kind, over};
            $(#[test] fn $test() { over(Kind::Tls, super::$test); })+
        }
    };
}
pub(crate) use over_each_line;

/// The same, and a third by WebSocket.
macro_rules! over_every_line {
    ($($test:ident),+ $(,)?) => {
        crate::support::line::over_each_line!($($test),+);
        mod websocket {
            use crate::support::line::{Kind, over};
            $(#[test] fn $test() { over(Kind::WebSocket, super::$test); })+
        }
    };
}
#[allow(unused_imports, reason = "not every program of tests has some of its own")]
pub(crate) use over_every_line;

/// The kind that the test is run over.
pub fn kind() -> Kind {
    KIND.get()
}

/// A configuration of a broker that listens for the kind of the test.
pub fn config() -> Config {
    let config = Config::listening_on(([127, 0, 0, 1], 0));
    match kind() {
        Kind::Plain => config,
        Kind::Tls => {
            let url: ListenUrl = "tls://127.0.0.1:0".parse().unwrap();
            config.listeners([url]).tls(certificate().clone())
        }
        Kind::WebSocket => {
            let urls = ["http://127.0.0.1:0", "127.0.0.1:0"];
            config.listeners(urls.map(|url| url.parse::<ListenUrl>().unwrap()))
        }
    }
}

/// The same as arguments of `babelmq serve`.
pub fn listen_arguments() -> Vec<String> {
    let TlsFiles { cert, key, .. } = certificate();
    let listen = ["--listen", "tls://127.0.0.1:0", "--tls-cert"].map(str::to_owned);
    let files = [cert.display().to_string(), "--tls-key".to_owned(), key.display().to_string()];
    match kind() {
        Kind::WebSocket => unreachable!("no test of a program is run over it"),
        Kind::Plain => ["--listen", "127.0.0.1:0"].map(str::to_owned).to_vec(),
        Kind::Tls => listen.into_iter().chain(files).collect(),
    }
}

/// The certificate of all brokers of the tests.
pub fn certificate() -> &'static TlsFiles {
    static FILES: OnceLock<TlsFiles> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("line");
        let file = |ending| folder.join(format!("{}.{ending}", std::process::id()));
        let files = TlsFiles::new(file("crt"), file("key"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(&files.cert, made.cert.pem()).unwrap();
        fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    })
}

/// A client's end, from which one thread may read while another writes.
#[derive(Clone)]
pub enum Line {
    Plain(Arc<TcpStream>),
    Tls(Arc<Sealed>),
    WebSocket(Arc<WebSocket>),
}

pub struct Sealed {
    socket: TcpStream,
    state: Mutex<ClientConnection>,
    /// What was read, and the state has no room for yet.
    records: Mutex<Vec<u8>>,
    /// Held while sealed bytes are on their way to the socket, so that they keep their order.
    sending: Mutex<()>,
}

impl Line {
    /// Connects as the broker's first listener wants it.
    pub fn connect(broker: &BrokerHandle) -> Line {
        match broker.listeners().next() {
            Some(ListenUrl::Tls(address)) => Line::tls(*address),
            Some(ListenUrl::Http(address)) => {
                let below = Line::plain(TcpStream::connect(address).unwrap());
                Line::WebSocket(Arc::new(WebSocket::over(below, "babelmq", b"")))
            }
            _ => Line::plain(TcpStream::connect(broker.local_addr()).unwrap()),
        }
    }

    pub fn plain(stream: TcpStream) -> Line {
        set_options(&stream);
        Line::Plain(Arc::new(stream))
    }

    pub fn tls(address: SocketAddr) -> Line {
        static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        let config = CONFIG.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(&certificate().cert).unwrap()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            Arc::new(config)
        });
        let name = ServerName::try_from("localhost").unwrap();
        let mut state = ClientConnection::new(config.clone(), name).unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        set_options(&socket);
        while state.is_handshaking() {
            state.complete_io(&mut socket).unwrap();
        }
        let (records, sending) = (Mutex::default(), Mutex::default());
        Line::Tls(Arc::new(Sealed { socket, state: Mutex::new(state), records, sending }))
    }

    pub fn socket(&self) -> &TcpStream {
        match self {
            Line::Plain(socket) => socket,
            Line::Tls(sealed) => &sealed.socket,
            Line::WebSocket(socket) => socket.below().socket(),
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        if let Line::WebSocket(socket) = self {
            return socket.send_raw(&websocket::masked(websocket::FIN | websocket::CLOSE, b""));
        }
        if let Line::Tls(sealed) = self {
            let announced = sealed.seal(|state| {
                state.send_close_notify();
                Ok(())
            });
            announced.unwrap();
        }
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// Sends the bytes but for the end of what they are on their way.
    pub fn send_without_the_last(&self, bytes: &[u8], missing: usize) {
        match self {
            Line::Plain(socket) => (&**socket).write_all(&bytes[..bytes.len() - missing]).unwrap(),
            Line::WebSocket(socket) => {
                let whole = websocket::masked(websocket::FIN | websocket::BINARY, bytes);
                socket.send_raw(&whole[..whole.len() - missing]);
            }
            Line::Tls(sealed) => {
                let mut whole = Vec::new();
                let mut state = sealed.state.lock().unwrap();
                state.writer().write_all(bytes).unwrap();
                while state.wants_write() {
                    state.write_tls(&mut whole).unwrap();
                }
                (&sealed.socket).write_all(&whole[..whole.len() - missing]).unwrap();
            }
        }
    }
}

fn set_options(stream: &TcpStream) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
    stream.set_write_timeout(Some(super::PATIENCE)).unwrap();
}

impl Sealed {
    /// Changes the state and sends what it wants to.
    fn seal<R>(
        &self,
        change: impl FnOnce(&mut ClientConnection) -> io::Result<R>,
    ) -> io::Result<R> {
        let _turn = self.sending.lock().unwrap();
        let mut sealed = Vec::new();
        let mut state = self.state.lock().unwrap();
        let result = change(&mut state)?;
        while state.wants_write() {
            state.write_tls(&mut sealed)?;
        }
        drop(state);
        (&self.socket).write_all(&sealed)?;
        Ok(result)
    }
}

impl Read for &Line {
    /// An end of a sealed connection that was not announced is an error.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let sealed = match self {
            Line::Plain(socket) => return (&**socket).read(buffer),
            Line::WebSocket(socket) => return socket.read(buffer),
            Line::Tls(sealed) => sealed,
        };
        let mut records = sealed.records.lock().unwrap();
        loop {
            let mut state = sealed.state.lock().unwrap();
            match state.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            if records.is_empty() {
                drop(state);
                let mut read = [0; 16 << 10];
                let count = (&sealed.socket).read(&mut read)?;
                records.extend_from_slice(&read[..count]);
                state = sealed.state.lock().unwrap();
            }
            // Nothing is the end, to the state as well.
            let taken = state.read_tls(&mut &records[..])?;
            records.drain(..taken);
            state.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for &Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Line::Plain(socket) => (&**socket).write(bytes),
            Line::Tls(sealed) => sealed.seal(|state| state.writer().write(bytes)),
            Line::WebSocket(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
