//! Opening a stream: its log, what is to be known of its messages, and its threads.

use std::sync::Arc;
use std::time::Instant;

use super::announcer::Announcer;
use super::definition::StreamDefinition;
use super::log::{Found, LogReader, StreamStore};
use super::recent_ids::{KNOWN_FOR, MOST, RecentIds};
use super::said::OpenStream;
use super::state::StreamState;
use super::thread::{NewStream, StreamThread, SyncPlan};
use super::watch::StreamsWatch;
use crate::broker::memory::{Memory, Use};
use crate::broker::persist::StoreError;
use crate::broker::sync::thread;
use crate::broker::wall_clock;
use crate::codec::Account;
use crate::protocol::Limits;

/// Bytes of the threads' stacks: nothing here recurses.
const STACK: usize = 512 << 10;

/// What every stream of a broker is opened with.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Opener {
    pub(in crate::broker) store: Arc<dyn StreamStore>,
    pub(in crate::broker) announcer: Announcer,
    pub(in crate::broker) plan: SyncPlan,
    pub(in crate::broker) limits: Limits,
    pub(in crate::broker) memory: Memory,
    pub(in crate::broker) watch: StreamsWatch,
}

impl Opener {
    /// Opens a stream, or creates it. This reads the disk.
    ///
    /// # Errors
    /// [`StoreError`] where its log cannot be opened or read, or a thread cannot be started.
    pub(in crate::broker) fn open(
        &self,
        definition: StreamDefinition,
    ) -> Result<OpenStream, StoreError> {
        let log = self.store.open(&definition)?;
        let reader = log.reader.clone();
        let account = self.memory.of(Use::Streams).account();
        let (ids, time) = (recent_ids(&*reader, &account)?, last_time(&*reader)?);
        let state = Arc::new(StreamState::new(definition.name.as_str().into()));
        let new = NewStream {
            definition: definition.clone(),
            store: self.store.clone(),
            log,
            state: state.clone(),
            announcer: self.announcer.clone(),
            plan: self.plan.clone(),
            limits: self.limits,
            account,
        };
        let failed = |reason: String| {
            StoreError::new(format!("cannot open the stream {}: {reason}", definition.name))
        };
        let (stream, requests) = StreamThread::new(new).map_err(failed)?;
        let thread = thread::Builder::new()
            .name(format!("stream {}", definition.name))
            .stack_size(STACK)
            .spawn(move || stream.run())
            .map_err(|error| failed(error.to_string()).with_source(error))?;
        self.watch.add(state.clone());
        Ok(OpenStream { definition, requests, state, reader, ids, time, thread })
    }
}

/// When the last message was published that can be read: a clock that was set back while the broker
/// was away does not set the stream back.
fn last_time(reader: &dyn LogReader) -> Result<u64, StoreError> {
    let mut cursor = reader.cursor(reader.next().saturating_sub(1));
    while let Some(found) = cursor.read()? {
        if let Found::Record(record) = found {
            return Ok(record.time);
        }
    }
    Ok(0)
}

/// What publishers called the messages of the last minutes.
fn recent_ids(reader: &dyn LogReader, account: &Account) -> Result<RecentIds, StoreError> {
    let (mut ids, now) = (RecentIds::new(account), Instant::now());
    let since = wall_clock().saturating_sub(KNOWN_FOR.as_millis() as u64);
    // They are known for a little longer than they would have been.
    reader.ids_since(since, MOST, &mut |id| {
        ids.note(id, now);
    })?;
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::log::Cursor;
    use super::*;
    use crate::codec::Share;
    use crate::protocol::{TopicFilter, TopicName};

    /// A log that is asked for ids alone, and notes since when.
    #[derive(Debug, Default)]
    struct Asked(Mutex<Vec<u64>>);

    impl LogReader for Asked {
        fn first(&self) -> u64 {
            1
        }

        fn next(&self) -> u64 {
            1
        }

        fn bytes(&self) -> u64 {
            0
        }

        fn cursor(&self, _: u64) -> Box<dyn Cursor> {
            panic!("nobody reads it")
        }

        fn at_time(&self, _: u64) -> Result<u64, StoreError> {
            Ok(1)
        }

        fn ids_since(
            &self,
            time: u64,
            most: usize,
            take: &mut dyn FnMut(&str),
        ) -> Result<(), StoreError> {
            assert_eq!(most, MOST);
            self.0.lock().unwrap().push(time);
            take("a");
            Ok(())
        }

        fn last_of_topic(&self, _: TopicName<'_>, _: usize) -> Result<Vec<u64>, StoreError> {
            Ok(Vec::new())
        }

        fn last_of_each(&self, _: &TopicFilter) -> Result<Vec<u64>, StoreError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn ids_are_known_after_a_start_for_as_long_as_before() {
        let asked = Asked::default();
        let before = wall_clock();
        let mut ids = recent_ids(&asked, &Share::new(1 << 20).account()).unwrap();
        let after = wall_clock();
        let since = asked.0.lock().unwrap()[0];
        let two_minutes = 120_000;
        assert!((before - two_minutes..=after - two_minutes).contains(&since), "{since}");
        assert!(ids.knows("a", Instant::now()) && !ids.knows("b", Instant::now()));
    }
}
