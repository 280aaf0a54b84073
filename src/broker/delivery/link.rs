//! The way from an outbox to its writer: a channel, while more than one delivery may wait.
//!
//! A channel takes kilobytes as soon as something was sent through it, and where there are
//! thousands of writers, most of them rest. One that rests and is sent something now and then is
//! left it at a place, and needs no channel; who waits with a thread, or has more than that
//! waiting, has one. The channel of a writer that rests is let go of after a while. Nothing is lost
//! with it: a writer takes out all that waits before it rests, and it rests until it is called by
//! the only one who sends.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::broker::sync::{Mutex, Receiver, Sender, TryRecvError, unbounded};

/// Where both ends meet.
#[derive(Debug)]
struct Place<T> {
    /// What waits where there is no channel.
    one: Option<T>,
    channel: Option<Box<Channel<T>>>,
    /// Nothing more will come.
    is_closed: bool,
}

#[derive(Debug)]
struct Channel<T> {
    /// Until the one who sends has found it.
    sender: Option<Sender<T>>,
    receiver: Receiver<T>,
}

type Shared<T> = Arc<Mutex<Place<T>>>;

/// The end of the one who sends.
#[derive(Debug)]
pub(super) struct Near<T> {
    /// Of the channel, if there is one and it was found.
    sender: Option<Sender<T>>,
    place: Shared<T>,
}

/// An end of those who receive.
#[derive(Debug)]
pub(super) struct Far<T> {
    /// Of the channel, if there is one and it was found since the writer was called.
    receiver: OnceCell<Receiver<T>>,
    place: Shared<T>,
}

/// A way, and its ends.
pub(super) fn link<T>() -> (Near<T>, Far<T>) {
    let place = Arc::new(Mutex::new(Place { one: None, channel: None, is_closed: false }));
    let far = Far { receiver: OnceCell::new(), place: place.clone() };
    (Near { sender: None, place }, far)
}

impl<T> Place<T> {
    /// The channel, which is made where there is none.
    fn channel(&mut self) -> &mut Channel<T> {
        let Place { one, channel, is_closed } = self;
        channel.get_or_insert_with(|| {
            let (sender, receiver) = unbounded();
            if let Some(item) = one.take() {
                // The receiver is there.
                let _ = sender.send(item);
            }
            Box::new(Channel { sender: Some(sender).filter(|_| !*is_closed), receiver })
        })
    }
}

impl<T> Near<T> {
    /// Sends something. Whoever receives is to be told where it may rest. Returns whether there is
    /// a channel that was not known before.
    pub(super) fn send(&mut self, item: T) -> bool {
        if let Some(sender) = &self.sender {
            // The place has a receiver.
            let _ = sender.send(item);
            return false;
        }
        let mut place = self.place.lock();
        if place.one.is_none() && place.channel.is_none() {
            place.one = Some(item);
            return false;
        }
        self.sender = place.channel().sender.take();
        drop(place);
        if let Some(sender) = &self.sender {
            let _ = sender.send(item);
        }
        true
    }

    /// Whether there is a channel.
    pub(super) fn has_channel(&self) -> bool {
        self.sender.is_some()
    }

    /// Another end of the channel, which is made where there is none and must not be let go of from
    /// then on; `None` where nothing more will come.
    pub(super) fn sender(&mut self) -> Option<Sender<T>> {
        if self.sender.is_none() {
            self.sender = self.place.lock().channel().sender.take();
        }
        self.sender.clone()
    }

    /// Says that nothing more will come.
    pub(super) fn close(&mut self) {
        let mut place = self.place.lock();
        place.is_closed = true;
        if let Some(channel) = &mut place.channel {
            channel.sender = None;
        }
        drop(place);
        self.sender = None;
    }

    /// Lets go of the channel, in which nothing waits.
    pub(super) fn let_go(&mut self) {
        self.sender = None;
        let channel = self.place.lock().channel.take();
        drop(channel);
    }

    /// Another end of those who receive, for what waits.
    pub(super) fn receiver(&self) -> Receiver<T> {
        self.place.lock().channel().receiver.clone()
    }
}

impl<T> Far<T> {
    /// Takes the next item, if there is one.
    ///
    /// # Errors
    /// `Empty` if there is none, `Disconnected` when there will be none.
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        if let Some(receiver) = self.receiver.get() {
            return receiver.try_recv();
        }
        let mut place = self.place.lock();
        if let Some(channel) = &place.channel {
            let found = channel.receiver.clone();
            drop(place);
            return self.receiver.get_or_init(|| found).try_recv();
        }
        let none = if place.is_closed { TryRecvError::Disconnected } else { TryRecvError::Empty };
        place.one.take().ok_or(none)
    }

    /// The channel, for whoever waits for it.
    pub(super) fn channel(&self) -> &Receiver<T> {
        self.receiver.get_or_init(|| self.place.lock().channel().receiver.clone())
    }

    /// How many items wait.
    pub(super) fn len(&self) -> usize {
        let place = self.place.lock();
        place.channel.as_ref().map_or(usize::from(place.one.is_some()), |it| it.receiver.len())
    }

    /// Forgets the channel: there may be none any more, or another, when something has come.
    pub(super) fn rest(&mut self) {
        self.receiver.take();
    }

    /// Another end, for somebody who takes turns with this one.
    pub(super) fn lend(&self) -> Far<T> {
        Far { receiver: OnceCell::new(), place: self.place.clone() }
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    #[test]
    fn one_item_needs_no_channel_and_two_keep_their_order() {
        let (mut near, mut far) = link();
        assert_eq!(far.try_recv(), Err(TryRecvError::Empty));
        for item in 0..3 {
            assert!(!near.send(item) && !near.has_channel());
            assert_eq!((far.len(), far.try_recv()), (1, Ok(item)));
        }
        assert_eq!((near.send(3), near.send(4), near.send(5)), (false, true, false));
        assert!(near.has_channel());
        assert_eq!((far.len(), far.try_recv(), far.try_recv()), (3, Ok(3), Ok(4)));
        assert_eq!((far.try_recv(), far.try_recv()), (Ok(5), Err(TryRecvError::Empty)));
        far.rest();
        near.let_go();
        assert!(!near.send(6) && !near.has_channel());
        let lent = far.lend();
        assert_eq!(lent.try_recv(), Ok(6));
        near.close();
        assert_eq!(far.try_recv(), Err(TryRecvError::Disconnected));
    }

    #[test]
    fn who_waits_has_a_channel_and_hears_of_the_end() {
        let (mut near, far) = link();
        near.send(1);
        assert_eq!(far.channel().recv(), Ok(1));
        assert!(near.send(2), "it is another that is found now");
        assert_eq!(far.channel().recv(), Ok(2));
        near.send(3);
        near.close();
        assert_eq!(far.channel().recv(), Ok(3));
        assert!(far.channel().recv().is_err());

        let (mut near, far) = link();
        near.send(1);
        near.close();
        assert_eq!((far.channel().recv(), far.channel().recv().is_err()), (Ok(1), true));

        let (mut near, far) = link::<u8>();
        assert!(far.channel().is_empty());
        near.close();
        assert!(far.channel().recv().is_err(), "the sender that was not found is gone");
    }

    #[test]
    fn two_may_send_where_there_is_a_channel() {
        let (mut near, far) = link();
        near.send(1);
        let other = near.sender().unwrap();
        other.send(2).unwrap();
        near.send(3);
        assert_eq!((far.try_recv(), far.try_recv(), far.try_recv()), (Ok(1), Ok(2), Ok(3)));
        near.close();
        assert_eq!(far.try_recv(), Err(TryRecvError::Empty), "the other may still send");
        assert!(near.sender().is_none());
        drop(other);
        assert_eq!(far.try_recv(), Err(TryRecvError::Disconnected));
    }

    #[test]
    fn what_waits_can_be_taken_by_somebody_else() {
        let (mut near, far) = link();
        near.send(1);
        assert_eq!(near.receiver().try_recv(), Ok(1));
        near.send(2);
        assert_eq!(far.try_recv(), Ok(2));
        assert_eq!(far.try_recv(), Err(TryRecvError::Empty));
    }
}
