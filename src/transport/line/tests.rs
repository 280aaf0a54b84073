//! Connections of the system.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use rustix::event::{PollFd, PollFlags, poll};

use super::*;

#[test]
fn a_peer_that_has_sent_its_last_is_gone_only_in_a_crowd() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut stream = listener.accept().unwrap().0;
    let (line, ..) = Line::plain(stream.try_clone().unwrap().into());
    assert!(!line.is_gone(true));
    client.shutdown(Shutdown::Write).unwrap();
    let mut watched = [PollFd::new(&stream, PollFlags::RDHUP)];
    poll(&mut watched, None).unwrap();
    assert!(!line.is_gone(false));
    assert!(line.is_gone(true));
    stream.write_all(b"unread").unwrap();
    drop(client);
    // The system has said so when the next write fails.
    while stream.write_all(b"more").is_ok() {}
    assert!(line.is_gone(false));
}
