//! The backbone as the broker knows it.

use std::fmt;
use std::sync::{Arc, Weak};

use tokio::sync::mpsc;

use super::line::Opening;
use super::options::{JetstreamOptions, Login};
use super::thread::Thread;
use crate::broker::sync::Sender;
use crate::broker::{Backbone, BackboneLine, FromBackbone, SharedPlan, StoreError, ToBackbone};

/// Topics shared by NATS JetStream (2.10 or later): what brokers in front of one cluster publish to
/// them goes into a stream of it, and comes to each of them from there.
///
/// ```no_run
/// use babelmq::{Jetstream, JetstreamOptions};
///
/// let backbone = Jetstream::new(JetstreamOptions::new("nats://a.example,nats://b.example")?);
/// # Ok::<(), String>(())
/// ```
#[derive(Debug)]
pub struct Jetstream {
    options: JetstreamOptions,
    /// Lines hold it: it ends with the last.
    thread: Weak<Thread>,
}

impl Jetstream {
    /// A backbone of these servers. It connects when the first topics are shared.
    pub fn new(options: JetstreamOptions) -> Jetstream {
        Jetstream { options, thread: Weak::new() }
    }

    fn thread(&mut self) -> Result<Arc<Thread>, StoreError> {
        if let Some(thread) = self.thread.upgrade() {
            return Ok(thread);
        }
        let login: Login = self.options.read().map_err(StoreError::new)?;
        let thread = Thread::start(login).map_err(|error| {
            StoreError::new(format!("the thread of the backbone cannot be started: {error}"))
        })?;
        let thread = Arc::new(thread);
        self.thread = Arc::downgrade(&thread);
        Ok(thread)
    }
}

impl Backbone for Jetstream {
    fn open(
        &mut self,
        plan: SharedPlan,
        said: Sender<FromBackbone>,
    ) -> Result<Box<dyn BackboneLine>, StoreError> {
        let thread = self.thread()?;
        let name = name()?;
        let (hand, handed) = mpsc::unbounded_channel();
        thread.open(Opening { plan, name, said, handed });
        Ok(Box::new(Line { hand, _thread: thread }))
    }
}

/// A name that no other line has.
fn name() -> Result<String, StoreError> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::new(format!("the system gives no random bytes: {error}")))?;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (broker, epoch) = bytes.split_at(6);
    Ok(format!("{}-{}", hex(broker), hex(epoch)))
}

/// One line. It is told that it is over before its thread is waited for.
struct Line {
    hand: mpsc::UnboundedSender<ToBackbone>,
    _thread: Arc<Thread>,
}

impl BackboneLine for Line {
    fn send(&self, what: ToBackbone) {
        // The other end is gone only where the thread panicked, which it has said.
        let _ = self.hand.send(what);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}
