//! XML documents that are no messages of babelmq's own.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::QueueError;
use super::patience::Patience;
use super::queue::XmlQueue;
use super::wire::{read_document, write_document};
use crate::protocol::Topic;

impl XmlQueue {
    /// Publishes a value as a plain XML document, as serde-xml-rs writes it: nothing in it bears a
    /// type, so consumers of other formats read it as text, the way xmltodict does. For programs
    /// whose messages are documents; [`push`](super::Queue::push) keeps types.
    ///
    /// # Errors
    /// As for [`push`](super::Queue::push).
    pub fn push_document<T: Serialize>(&mut self, value: &T) -> Result<(), QueueError> {
        let document = to_document(value)?;
        self.push_with(|topic, with, out| {
            write_document(topic, with, &document, out);
            Ok(())
        })
    }

    /// Publishes a value as a plain XML document to another topic.
    ///
    /// # Errors
    /// As for [`push_to`](super::Queue::push_to).
    pub fn push_document_to<T: Serialize>(
        &mut self,
        topic: &str,
        value: &T,
    ) -> Result<(), QueueError> {
        Topic::parse(topic)?;
        let document = to_document(value)?;
        self.push_with(|_, with, out| {
            write_document(topic, with, &document, out);
            Ok(())
        })
    }

    /// Waits for the next message and reads it with serde-xml-rs: a plain document, as it was
    /// published; with [`plain`](super::QueueBuilder::plain), what went through JSON or pickle is
    /// one again. A message that is not one element, or that has types, is read as the element
    /// `message` in which the broker sent it.
    ///
    /// # Errors
    /// As for [`pull_as`](super::Queue::pull_as).
    pub fn pull_document<T: DeserializeOwned>(&mut self) -> Result<(Topic, T), QueueError> {
        let (topic, message) = self.pull_payload(Patience::Endless)?;
        self.read(read_document(&message)).map(|value| (topic, value))
    }
}

fn to_document<T: Serialize>(value: &T) -> Result<String, QueueError> {
    serde_xml_rs::to_string(value).map_err(|error| QueueError::Type(error.to_string()))
}
