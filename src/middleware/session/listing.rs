//! Lists of topics: who asked for one, and who gets it.

use super::{Session, from_broker};
use crate::middleware::error::QueueError;
use crate::middleware::patience::Patience;
use crate::middleware::wire::{Wire, write_command};
use crate::protocol::Topic;

/// Who asked for a list of topics.
pub(super) enum Listing {
    /// A callback, to be called during a pull.
    Callback(Box<dyn FnOnce(Vec<Topic>) + Send>),
    /// [`Session::topics`].
    Waiting,
}

impl<W: Wire> Session<W> {
    /// Asks for the topics, which a later pull gives to the callback.
    pub(in crate::middleware) fn list(
        &mut self,
        callback: impl FnOnce(Vec<Topic>) + Send + 'static,
    ) -> Result<(), QueueError> {
        self.connect(self.patience())?;
        // Where the connection is lost, the next one begins with the same question.
        self.listings.push_back(Listing::Callback(Box::new(callback)));
        self.ask_topics(self.patience())
    }

    /// Asks for the topics, and waits for them.
    pub(in crate::middleware) fn topics(&mut self) -> Result<Vec<Topic>, QueueError> {
        let patience = self.patience();
        loop {
            self.connect(patience)?;
            let losses = self.losses;
            self.listings.push_back(Listing::Waiting);
            self.ask_topics(patience)?;
            while self.losses == losses {
                if let Some(topics) = self.answers.topics.take() {
                    return Ok(topics);
                }
                if let Err(error) = self.turn(patience) {
                    // The answer may still come, and is then nobody's.
                    if let Some(abandoned @ Listing::Waiting) = self.listings.back_mut() {
                        *abandoned = Listing::Callback(Box::new(drop));
                    }
                    return Err(error);
                }
                self.refused_fatally()?;
            }
        }
    }

    fn ask_topics(&mut self, patience: Patience) -> Result<(), QueueError> {
        self.frame.clear();
        write_command(W::FORMAT, "list", &[], &mut self.frame);
        self.send(patience)
    }

    pub(super) fn listed(&mut self, topics: &[String]) -> Result<(), QueueError> {
        let topics: Vec<Topic> =
            topics.iter().map(|topic| from_broker(topic)).collect::<Result<_, _>>()?;
        match self.listings.pop_front() {
            Some(Listing::Callback(callback)) => callback(topics),
            Some(Listing::Waiting) => self.answers.topics = Some(topics),
            None => return Err(QueueError::Protocol("topics that nobody asked for".into())),
        }
        Ok(())
    }
}
