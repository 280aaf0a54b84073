//! The one thread on which everything here waits: a runtime of tokio that no other room knows of.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::line::{self, Opening};
use super::link::{self, Link};
use super::options::Login;

/// What looks up names, on a thread of its own, may still take when all is over.
const LOOKING_UP: Duration = Duration::from_millis(100);

/// The thread, as long as there is a line, or may be one.
#[derive(Debug)]
pub(super) struct Thread {
    lines: Option<mpsc::UnboundedSender<Opening>>,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    /// Starts it.
    ///
    /// # Errors
    /// Where the system gives no thread, or nothing to wait with.
    pub(super) fn start(login: Login) -> std::io::Result<Thread> {
        let runtime = runtime()?;
        let (lines, openings) = mpsc::unbounded_channel();
        let run = move || {
            runtime.block_on(serve(login, openings));
            runtime.shutdown_timeout(LOOKING_UP);
        };
        let handle = thread::Builder::new().name("backbone".to_owned()).spawn(run)?;
        Ok(Thread { lines: Some(lines), handle: Some(handle) })
    }

    /// Begins a line on it.
    pub(super) fn open(&self, opening: Opening) {
        if let Some(lines) = &self.lines {
            let _ = lines.send(opening);
        }
    }
}

/// It ends when its lines have; they are given a second to say what they have to.
impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.lines.take());
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

/// A runtime in which everything takes turns on the thread that waits.
///
/// # Errors
/// Where the system gives nothing to wait with.
pub(super) fn runtime() -> std::io::Result<Runtime> {
    // The one thread besides is there while a name is looked up.
    Builder::new_current_thread()
        .enable_all()
        .thread_name("backbone-names")
        .max_blocking_threads(1)
        .build()
}

async fn serve(login: Login, mut openings: mpsc::UnboundedReceiver<Opening>) {
    let (said, link) = watch::channel(Link::Begun);
    let mut keeper = JoinSet::new();
    keeper.spawn(link::keep(login, said));
    let mut lines = JoinSet::new();
    loop {
        tokio::select! {
            opening = openings.recv() => match opening {
                Some(opening) => lines.spawn(line::run(opening, link.clone())),
                None => break,
            },
            Some(ended) = lines.join_next() => {
                if let Err(error) = ended {
                    let what = "shared topics are at a standstill: restart the broker";
                    tracing::error!(%error, "{what}");
                }
                continue;
            }
        };
    }
    while lines.join_next().await.is_some() {}
}
