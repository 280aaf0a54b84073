//! The threads of `transport`, and what they hold of each other: sessions, writers, the attendant,
//! the listener, and the handle that stops them. Each does what its original does with channels,
//! flags and joins, in the same order. What is kept by client is sorted: a seed has to lead to the
//! same schedule every time.

mod pool;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use shuttle::thread::{self, JoinHandle};

use self::pool::{Pool, Pooled};
use super::one_in;
use super::socket::{Arrived, Poll, Read, Shutdown, Socket};
use super::writer::Writer;
use crate::broker::delivery::outbox;
use crate::broker::sync::{
    AtomicBool, AtomicUsize, Mutex, Receiver, Sender, TryRecvError, bounded, yield_now,
};
use crate::broker::{Backlog, ClientId, Control, Dispatcher, Event, Peer, QueueLimits, Step};
use crate::protocol::{Refusal, Token};

/// Events that may wait for the dispatcher.
const EVENTS: usize = 2;
const BACKLOG_BYTES: usize = 100;
/// Bytes that each read takes of the backlog: two fit, a third waits.
const READ: usize = 40;
const LAST_READS: usize = 16;

pub(super) struct Shared {
    pub(super) connections: Connections,
    parked: Parked,
    pool: Pool,
    backlog: Arc<Backlog>,
    stopping: AtomicBool,
    /// The system has no thread now and then, and may not be able to wait for sockets any more.
    troubled: bool,
    /// Threads that were started, and that came to their end.
    pub(super) started: AtomicUsize,
    pub(super) ended: AtomicUsize,
}

impl Shared {
    pub(super) fn is_troubled(&self) -> bool {
        self.troubled
    }
}

/// Counts a thread.
pub(super) struct Counted(Arc<Shared>);

impl Counted {
    pub(super) fn spawn(
        shared: &Arc<Shared>,
        run: impl FnOnce() + Send + 'static,
    ) -> JoinHandle<()> {
        shared.started.fetch_add(1, Ordering::SeqCst);
        let counted = Counted(shared.clone());
        thread::spawn(move || {
            let _counted = counted;
            run();
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

// As `transport::session`.

struct Session {
    client: ClientId,
    socket: Arc<Socket>,
    events: Sender<Event>,
    shared: Arc<Shared>,
    _alive: Sender<()>,
    /// The end of the writer, and what tells it that nobody reads.
    writer: Option<(Receiver<()>, Sender<()>)>,
}

enum Pause {
    Over,
    Idle,
}

impl Session {
    fn start(self: Box<Session>) -> Result<(), Box<Session>> {
        if self.shared.troubled && one_in(4) {
            return Err(self);
        }
        let (hand_over, take) = bounded::<Box<Session>>(1);
        let thread = Counted::spawn(&self.shared, move || {
            if let Ok(session) = take.recv() {
                session.run();
            }
        });
        self.shared.connections.serve(self.client, thread);
        let _ = hand_over.send(self);
        Ok(())
    }

    fn run(mut self: Box<Session>) {
        loop {
            match self.read_frames() {
                Pause::Over => return,
                Pause::Idle => {
                    let shared = self.shared.clone();
                    match shared.parked.park(self) {
                        Ok(()) => return,
                        Err(session) => self = session,
                    }
                }
            }
        }
    }

    fn finish(&mut self) {
        while matches!(self.read_frames(), Pause::Idle) {}
        self.let_go();
    }

    fn take_leave(&mut self) {
        let stopping = self.shared.stopping.load(Ordering::Acquire);
        if !stopping && self.writer.is_some() {
            let _ = self.events.send(Event::Detach { client: self.client });
        }
        self.let_go();
    }

    fn let_go(&mut self) {
        let (closed, _) = bounded(0);
        drop(std::mem::replace(&mut self.events, closed));
    }

    fn read_frames(&mut self) -> Pause {
        let mut last_reads = 0;
        loop {
            if self.shared.stopping.load(Ordering::Acquire) {
                last_reads += 1;
                if last_reads > LAST_READS {
                    return Pause::Over;
                }
            }
            match self.socket.read() {
                Read::End => return Pause::Over,
                Read::Idle => return Pause::Idle,
                Read::Some(Arrived::Steps(steps)) => {
                    let answered = |step: &Step| matches!(step, Step::Control(..));
                    if steps.iter().any(answered) {
                        self.attach();
                    }
                    self.send(steps, READ);
                }
                Read::Some(Arrived::Fault(refusal)) => {
                    self.refuse(refusal);
                    // Discards what still comes.
                    while !matches!(self.socket.read(), Read::End) {
                        yield_now();
                    }
                    return Pause::Over;
                }
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.attach();
        self.send(vec![Step::Control(Token::default(), Control::Refuse { refusal })], 0);
    }

    fn send(&self, steps: Vec<Step>, bytes: usize) {
        let queued = self.shared.backlog.lane().claim(bytes);
        let _ = self.events.send(Event::Steps { client: self.client, steps, queued });
    }

    fn attach(&mut self) {
        if self.writer.is_some() {
            return;
        }
        let (mut outbox, inbox) = outbox(QueueLimits::default());
        if let Some(calls) = self.shared.pool.calls() {
            outbox = outbox.calling(self.client, calls);
        }
        let (reading, session) = bounded(0);
        let (_alive, ended) = bounded(0);
        let writer = Writer::new(inbox, self.socket.clone());
        pool::place(
            &self.shared,
            Box::new(Pooled { client: self.client, writer, session, _alive }),
        );
        let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
        let _ = self.events.send(Event::Attach { client: self.client, peer, outbox });
        self.writer = Some((ended, reading));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.take_leave();
        if let Some((ended, reading)) = self.writer.take() {
            drop(reading);
            let _ = ended.recv();
        }
        self.shared.connections.remove(self.client);
        // Nobody holds the socket any more, so the system closes it.
        self.socket.shut_down(Shutdown::Both);
    }
}

// As `transport::connections`.

#[derive(Default)]
pub(super) struct Connections {
    inner: Mutex<Open>,
}

struct Connection {
    socket: Arc<Socket>,
    thread: Option<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Open {
    open: BTreeMap<ClientId, Connection>,
    ended: Vec<JoinHandle<()>>,
}

impl Connections {
    fn add(&self, client: ClientId, socket: Arc<Socket>) {
        let connection = Connection { socket, thread: None, writer: None };
        self.inner.lock().open.insert(client, connection);
    }

    fn serve(&self, client: ClientId, thread: JoinHandle<()>) {
        let mut inner = self.inner.lock();
        let before = match inner.open.get_mut(&client) {
            Some(connection) => connection.thread.replace(thread),
            None => Some(thread),
        };
        inner.ended.extend(before);
        drop(inner);
        self.join_ended();
    }

    fn park(&self, client: ClientId) {
        let mut inner = self.inner.lock();
        let thread = inner.open.get_mut(&client).and_then(|connection| connection.thread.take());
        inner.ended.extend(thread);
    }

    pub(super) fn write(&self, client: ClientId, thread: JoinHandle<()>) {
        let mut inner = self.inner.lock();
        let before = match inner.open.get_mut(&client) {
            Some(connection) => connection.writer.replace(thread),
            None => Some(thread),
        };
        inner.ended.extend(before);
    }

    pub(super) fn write_no_more(&self, client: ClientId) {
        let mut inner = self.inner.lock();
        let Some(connection) = inner.open.get_mut(&client) else { return };
        let is_this = |thread: &mut JoinHandle<()>| thread.thread().id() == thread::current().id();
        let thread = connection.writer.take_if(is_this);
        inner.ended.extend(thread);
    }

    pub(super) fn join_ended(&self) {
        let ended = std::mem::take(&mut self.inner.lock().ended);
        join(ended);
    }

    fn remove(&self, client: ClientId) {
        let mut inner = self.inner.lock();
        let Some(Connection { thread, writer, .. }) = inner.open.remove(&client) else { return };
        inner.ended.extend(thread.into_iter().chain(writer));
    }

    fn shut_down(&self, how: Shutdown) {
        for connection in self.inner.lock().open.values() {
            connection.socket.shut_down(how);
        }
    }

    fn join(&self) {
        let threads = {
            let mut inner = self.inner.lock();
            let mut threads = std::mem::take(&mut inner.ended);
            let open = std::mem::take(&mut inner.open);
            threads.extend(
                open.into_values().flat_map(|open| open.thread.into_iter().chain(open.writer)),
            );
            threads
        };
        join(threads);
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        let _ = thread.join();
    }
}

// As `transport::parked`.

#[derive(Default)]
struct Parked {
    poll: Arc<Poll>,
    sessions: Mutex<BTreeMap<ClientId, Box<Session>>>,
    ending: AtomicBool,
}

impl Parked {
    fn park(&self, session: Box<Session>) -> Result<(), Box<Session>> {
        let mut sessions = self.sessions.lock();
        if self.ending.load(Ordering::Acquire) {
            return Err(session);
        }
        session.socket.watch(&self.poll, session.client);
        session.shared.connections.park(session.client);
        sessions.insert(session.client, session);
        drop(sessions);
        self.poll.wake(None);
        Ok(())
    }

    fn unpark(
        &self,
        sessions: &mut BTreeMap<ClientId, Box<Session>>,
        client: ClientId,
    ) -> Option<Box<Session>> {
        let session = sessions.remove(&client)?;
        session.socket.watch_no_more();
        Some(session)
    }

    fn end(&self) {
        let sessions = self.sessions.lock();
        self.ending.store(true, Ordering::Release);
        drop(sessions);
        self.poll.wake(None);
    }

    fn all(&self) -> Vec<Box<Session>> {
        std::mem::take(&mut *self.sessions.lock()).into_values().collect()
    }

    fn attend(&self, shared: &Shared) {
        let mut stranded = Vec::new();
        while !self.ending.load(Ordering::Acquire) {
            let ready = self.poll.poll(stranded.is_empty());
            if shared.troubled && one_in(4) {
                self.end();
                let sessions = self.all().into_iter().chain(stranded);
                let mut ended: Vec<_> =
                    sessions.filter_map(|session| session.start().err()).collect();
                ended.iter_mut().for_each(|session| session.take_leave());
                return;
            }
            let mut awake = std::mem::take(&mut stranded);
            {
                let mut sessions = self.sessions.lock();
                for client in ready {
                    awake.extend(self.unpark(&mut sessions, client));
                }
            }
            shared.connections.join_ended();
            for session in awake {
                stranded.extend(session.start().err());
            }
        }
        stranded.extend(self.all());
        for session in &mut stranded {
            session.finish();
        }
    }
}

// As `transport::listener`.

struct Listener {
    accept: Receiver<Arc<Socket>>,
    events: Sender<Event>,
    alive: Sender<()>,
    shared: Arc<Shared>,
}

impl Listener {
    fn run(self) {
        let mut clients = 0;
        while let Ok(socket) = self.accept.recv() {
            if self.shared.stopping.load(Ordering::Acquire) {
                return;
            }
            clients += 1;
            let client = ClientId(clients);
            self.shared.connections.add(client, socket.clone());
            let (events, alive) = (self.events.clone(), self.alive.clone());
            let (shared, writer) = (self.shared.clone(), None);
            let _ =
                Box::new(Session { client, socket, events, shared, _alive: alive, writer }).start();
        }
    }
}

// As `transport::handle`, and `transport::server`, which makes it.

pub(super) struct Broker {
    connect: Sender<Arc<Socket>>,
    events: Sender<Event>,
    pub(super) shared: Arc<Shared>,
    all_gone: Receiver<()>,
    dispatcher: JoinHandle<()>,
    attendant: JoinHandle<()>,
    listener: JoinHandle<()>,
    pool: JoinHandle<()>,
}

impl Broker {
    pub(super) fn start(troubled: bool) -> Broker {
        let (events, dispatcher_events) = bounded(EVENTS);
        let (alive, all_gone) = bounded(0);
        let (connect, accept) = bounded(8);
        let (pool, calls) = Pool::new();
        let shared = Arc::new(Shared {
            connections: Connections::default(),
            parked: Parked::default(),
            pool,
            backlog: Backlog::new(BACKLOG_BYTES),
            stopping: AtomicBool::new(false),
            troubled,
            started: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
        });
        let dispatcher =
            Counted::spawn(&shared, move || Dispatcher::default().run(&dispatcher_events));
        let attendant = Counted::spawn(&shared, {
            let shared = shared.clone();
            move || shared.parked.attend(&shared)
        });
        let pool = Counted::spawn(&shared, {
            let shared = shared.clone();
            move || pool::run(&shared, &calls)
        });
        let listener = Listener { accept, events: events.clone(), alive, shared: shared.clone() };
        let listener = Counted::spawn(&shared, move || listener.run());
        Broker { connect, events, shared, all_gone, dispatcher, attendant, listener, pool }
    }

    pub(super) fn connect(&self) -> Arc<Socket> {
        let socket = Arc::new(Socket::default());
        self.connect.send(socket.clone()).unwrap();
        socket
    }

    /// Stops it. Where `patient`, the time of grace does not pass before everything is written.
    pub(super) fn stop(self, patient: bool) -> Arc<Shared> {
        let Broker { connect, events, shared, all_gone, dispatcher, attendant, listener, pool } =
            self;
        shared.stopping.store(true, Ordering::Release);
        let _ = connect.send(Arc::default());
        listener.join().unwrap();
        shared.connections.shut_down(Shutdown::Read);
        shared.parked.end();
        drop(events);
        if !is_disconnected(&all_gone, patient) {
            shared.connections.shut_down(Shutdown::Both);
        }
        dispatcher.join().unwrap();
        attendant.join().unwrap();
        shared.connections.join();
        shared.pool.end();
        pool.join().unwrap();
        shared.connections.join();
        shared
    }
}

fn is_disconnected(channel: &Receiver<()>, patient: bool) -> bool {
    if patient {
        return channel.recv().is_err();
    }
    loop {
        match channel.try_recv() {
            Err(TryRecvError::Disconnected) => return true,
            _ if one_in(8) => return false,
            _ => yield_now(),
        }
    }
}
