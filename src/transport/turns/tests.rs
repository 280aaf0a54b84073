//! A pool where the system has no thread left for anybody.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::*;
use crate::broker::sync::{Alive, Lifetime, lifetime};
use crate::broker::{BACKLOG_COST, Backlog, Counters, Delivery, Memory, Outbox, Piece, outbox};
use crate::codec::{BufferPool, Dialect, Share};
use crate::protocol::{ErrorCode, HEADER_LEN, Header, Refusal, Reply, Token, TopicFilter};
use crate::transport::config::Config;
use crate::transport::connections::Connections;
use crate::transport::line::Line;
use crate::transport::mqtt::Sessions;
use crate::transport::pool::Pool;
use crate::transport::writer::{Common, Shares, Ties};

/// A client of a broker of which there is nothing else.
struct Connected {
    shared: Arc<Shared>,
    peer: TcpStream,
    outbox: Outbox,
    /// The session's end: it says that it reads, and waits for the writer's end.
    reading: Option<Alive>,
    ended: Lifetime,
    pool: JoinHandle<()>,
}

fn without_threads(write_timeout: Duration) -> Connected {
    let (pool, calls) = Pool::new();
    let config = Config { write_timeout, ..Config::default() };
    let (counters, mqtt) = (Arc::new(Counters::default()), Arc::new(Sessions::new(Arc::default())));
    let share = Share::unlimited;
    let shares = Shares { in_flight: share(), writing: share(), answers: share() };
    let shared = Arc::new(Shared {
        writing: Common::new(&config, &counters, shares, &mqtt),
        config,
        tls: crate::broker::sync::Mutex::default(),
        handshakes: crate::transport::handshakes::Handshakes::new(),
        users: crate::transport::users::Users::new(None, Memory::unlimited()),
        counters,
        connections: Connections::default(),
        pool,
        mqtt,
        backlog: Backlog::new(BACKLOG_COST),
        memory: Memory::unlimited(),
        allowances: crate::transport::allowances::Allowances::new(),
        shapes: Arc::default(),
        spares: BufferPool::new(),
        store_full: Arc::default(),
        awake: Default::default(),
        next_client: Default::default(),
        stopping: Default::default(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_, _, outgoing) = Line::plain(listener.accept().unwrap().0.into());
    let client = ClientId(1);
    let (outbox, inbox) = outbox(shared.config.queue);
    let outbox = outbox.calling(client, shared.pool.calls().unwrap());
    let ((reading, session), (alive, ended)) = (lifetime(), lifetime());
    let ties = Ties { session, _alive: alive, talk: None };
    let writer = Writer::new(client, outgoing, inbox, ties, shared.writing.clone());
    let of_pool = shared.clone();
    let pool = thread::spawn(move || {
        threads::NONE_LEFT.set(true);
        place(&of_pool, writer);
        run(&of_pool, &calls);
    });
    Connected { shared, peer, outbox, reading: Some(reading), ended, pool }
}

impl Connected {
    /// More than fits a socket: 20 MiB.
    fn fill(&mut self) {
        for _ in 0..20 {
            let reply = Reply::Error(Refusal::new(ErrorCode::MalformedJson, "x".repeat(1 << 20)));
            self.outbox.answer(Delivery::Reply { reply, token: Token::default() }).unwrap();
        }
    }

    /// Waits for the writer, as its session does, and returns what had been written.
    fn end(mut self) -> Vec<u8> {
        self.reading = None;
        drop(self.outbox);
        self.ended.wait();
        self.shared.pool.end();
        self.pool.join().unwrap();
        assert_eq!(self.shared.pool.threads.load(Ordering::Relaxed), 0);
        let mut written = Vec::new();
        let _ = self.peer.read_to_end(&mut written);
        written
    }
}

#[test]
fn everything_is_written_all_the_same() {
    let mut connected = without_threads(Duration::from_secs(60));
    connected.fill();
    for _ in 0..20 {
        let mut header = [0; HEADER_LEN];
        connected.peer.read_exact(&mut header).unwrap();
        let length = Header::parse(header, u32::MAX).unwrap().length;
        let mut body = vec![0; length as usize];
        connected.peer.read_exact(&mut body).unwrap();
        assert!(body.starts_with(b"{\"command\":\"error\"") && body.ends_with(b"}"));
    }
    // The end of the outbox calls for the writer once more.
    assert!(connected.end().is_empty());
}

#[test]
fn who_takes_nothing_is_given_up() {
    let mut connected = without_threads(Duration::from_millis(100));
    connected.fill();
    connected.ended.wait();
    assert_eq!(connected.shared.counters.write_timeouts.load(Ordering::Relaxed), 1);
    assert!(connected.end().len() < 20 << 20);
}

#[test]
fn what_takes_a_thread_is_given_up_when_its_session_is_over() {
    let mut connected = without_threads(Duration::from_secs(60));
    let (_more, pieces) = bounded::<Piece>(1);
    let topic = TopicFilter::parse("#").unwrap();
    connected
        .outbox
        .answer(Delivery::LongSnapshot {
            limited: false,
            pieces,
            topic,
            dialect: Dialect::Json,
            token: Token::default(),
        })
        .unwrap();
    // `_more` is never dropped before: the snapshot goes on for ever.
    assert!(connected.end().is_empty());
}
