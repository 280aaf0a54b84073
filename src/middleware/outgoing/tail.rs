//! The thread that writes the end of a burst.
//!
//! There is one in a process, once a client of it has pushed messages in a burst; without it the
//! last of them would wait for the next call. It never waits for a socket, and looks only at
//! connections that something was kept back for.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::{Outgoing, TAIL};

/// How often connections are looked at that take nothing.
const STUCK: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Watched {
    connections: Mutex<Vec<Weak<Outgoing>>>,
    more: Condvar,
}

/// Has a connection looked after until nothing of it waits; `false` where there is no thread for
/// that.
pub(super) fn watch(connection: &Arc<Outgoing>) -> bool {
    static WATCHED: OnceLock<Option<Arc<Watched>>> = OnceLock::new();
    let Some(watched) = WATCHED.get_or_init(start) else { return false };
    lock(watched).push(Arc::downgrade(connection));
    watched.more.notify_one();
    true
}

fn start() -> Option<Arc<Watched>> {
    let watched = Arc::new(Watched::default());
    let theirs = Arc::clone(&watched);
    let builder = thread::Builder::new().name("babelmq-tail".into()).stack_size(128 << 10);
    builder.spawn(move || run(&theirs)).ok()?;
    Some(watched)
}

fn run(watched: &Watched) {
    let mut mine = Vec::new();
    let mut stuck = false;
    loop {
        {
            let mut connections = lock(watched);
            while mine.is_empty() && connections.is_empty() {
                connections =
                    watched.more.wait(connections).unwrap_or_else(PoisonError::into_inner);
            }
            if stuck && connections.is_empty() {
                let waited = watched.more.wait_timeout(connections, STUCK);
                connections = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            mine.append(&mut connections);
        }
        thread::sleep(TAIL);
        stuck = true;
        mine.retain(|connection: &Weak<Outgoing>| {
            let Some(connection) = connection.upgrade() else { return false };
            let (again, progress) = connection.tick();
            stuck &= !progress;
            again
        });
    }
}

fn lock(watched: &Watched) -> MutexGuard<'_, Vec<Weak<Outgoing>>> {
    watched.connections.lock().unwrap_or_else(PoisonError::into_inner)
}
