//! A broker that listens in several places, and on Unix sockets.
#![cfg(feature = "broker")]

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use babelmq::Format::{Json, Pickle};
use babelmq::{Broker, BrokerHandle, ListenUrl, Peer, StartError};

use crate::support::{self, Client, config};

/// A place for a socket. Those below the target folder may be longer than a socket's path can be.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let folder = std::env::temp_dir().join(format!("babelmq-{}-{name}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        Place(folder)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("b.sock")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn unix(path: &Path) -> ListenUrl {
    format!("unix:{}", path.display()).parse().unwrap()
}

fn start(listeners: Vec<ListenUrl>) -> Result<BrokerHandle, StartError> {
    Broker::start(config().listeners(listeners))
}

/// Why a broker cannot listen there.
#[track_caller]
fn refused(url: ListenUrl) -> (io::ErrorKind, String) {
    match start(vec![url]) {
        Err(error @ StartError::Listen { .. }) => {
            let StartError::Listen { source, .. } = &error else { unreachable!() };
            (source.kind(), error.to_string())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_passes_from_any_listener_to_any_other() {
    let place = Place::new("any");
    let tcp = || ListenUrl::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    let broker = start(vec![tcp(), unix(&place.socket()), tcp()]).unwrap();
    let listeners: Vec<ListenUrl> = broker.listeners().cloned().collect();
    let [ListenUrl::Tcp(first), ListenUrl::Unix { path, .. }, ListenUrl::Tcp(third)] =
        &listeners[..]
    else {
        panic!("{listeners:?}");
    };
    assert_eq!((*first, path), (broker.local_addr(), &place.socket()));
    assert_ne!(first.port(), third.port());
    let mut clients = [Client::to(*first), Client::of_unix(path), Client::to(*third)];
    for client in &mut clients {
        assert_eq!(client.subscribe(Pickle, "t").len(), 0);
    }
    for from in 0..clients.len() {
        clients[from].publish(Json, "t", b"[1]");
        for client in &mut clients {
            assert_eq!(client.next().message(), "[1]");
        }
    }
    broker.shutdown();
    clients.iter_mut().for_each(Client::ends);
}

#[test]
fn a_name_is_listened_on_at_each_of_its_addresses() {
    let broker = start(vec!["localhost:0".parse().unwrap()]).unwrap();
    let listeners: Vec<ListenUrl> = broker.listeners().cloned().collect();
    assert!(!listeners.is_empty());
    for listener in &listeners {
        let ListenUrl::Tcp(address) = listener else { panic!("{listener}") };
        assert!(address.ip().is_loopback() && address.port() > 0, "{address}");
        Client::to(*address).is_quiet();
    }
    let nowhere: ListenUrl = "tcp://no-such-name.invalid:0".parse().unwrap();
    let config = config().listeners([nowhere]).allow_anonymous(true);
    let error = Broker::start(config).unwrap_err().to_string();
    assert!(error.starts_with("cannot listen on tcp://no-such-name.invalid:0: "), "{error}");
}

#[test]
fn a_client_of_a_unix_socket_is_known_by_its_user_and_its_process() {
    let place = Place::new("peer");
    let broker = start(vec![unix(&place.socket())]).unwrap();
    assert_eq!(broker.local_addr(), ([0, 0, 0, 0], 0).into(), "it has no address");
    let mut client = Client::of_unix(&place.socket());
    client.subscribe(Json, "t");
    let user = fs::metadata(&place.0).unwrap().uid();
    let info = &broker.list_subscriptions("t").unwrap()[0];
    let Peer::Unix { user: found, process, .. } = info.peer else { panic!("{}", info.peer) };
    assert_eq!((found, process), (user, Some(std::process::id())));
    client.command(Json, &[("command", support::Field::Str("stats"))]);
    let stats = String::from_utf8(client.next().body).unwrap();
    assert!(stats.contains(&format!("\"peer\":\"unix:user={user},process=")), "{stats}");
}

#[test]
fn connections_of_one_user_are_limited_as_those_of_one_address_are() {
    let place = Place::new("limit");
    let listeners = vec![unix(&place.socket())];
    let broker =
        Broker::start(config().listeners(listeners).max_connections_per_address(1)).unwrap();
    let mut first = Client::of_unix(&place.socket());
    first.is_quiet();
    let mut second = Client::of_unix(&place.socket());
    let refused = second.next();
    refused.refuses("too-many-connections", true);
    assert!(refused.field("reason").contains("from user "), "{:?}", refused.fields());
    second.ends();
    first.is_quiet();
    assert_eq!(broker.stats().turned_away, 1);
}

#[test]
fn a_socket_has_the_permissions_that_were_asked_for_and_is_gone_with_its_broker() {
    let place = Place::new("mode");
    for (options, mode) in [("", 0o660), ("?mode=600", 0o600), ("?mode=666", 0o666)] {
        let url = format!("unix:{}{options}", place.socket().display()).parse().unwrap();
        let broker = start(vec![url]).unwrap();
        let metadata = fs::symlink_metadata(place.socket()).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, mode);
        broker.shutdown();
        assert!(!place.socket().exists());
    }
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let place = Place::new("stale");
    // One that nobody listens on any more, and that was not removed.
    drop(UnixListener::bind(place.socket()).unwrap());
    assert!(place.socket().exists());
    let broker = start(vec![unix(&place.socket())]).unwrap();
    Client::of_unix(&place.socket()).is_quiet();
    broker.shutdown();
}

#[test]
fn what_is_somebody_elses_is_left_alone() {
    let place = Place::new("taken");
    let broker = start(vec![unix(&place.socket())]).unwrap();
    let (kind, error) = refused(unix(&place.socket()));
    assert_eq!(kind, io::ErrorKind::AddrInUse);
    assert!(
        error.contains(place.socket().to_str().unwrap()) && error.contains("in use"),
        "{error}"
    );
    Client::of_unix(&place.socket()).is_quiet();
    // A file of the same name that is not this broker's any more.
    fs::remove_file(place.socket()).unwrap();
    fs::write(place.socket(), "mine").unwrap();
    let (kind, error) = refused(unix(&place.socket()));
    assert_eq!(kind, io::ErrorKind::AlreadyExists);
    assert!(error.contains("no socket"), "{error}");
    broker.shutdown();
    assert_eq!(fs::read_to_string(place.socket()).unwrap(), "mine");
}

#[test]
fn a_path_that_no_socket_can_have_is_a_clear_error() {
    let long = format!("unix:/tmp/{}", "x".repeat(200)).parse().unwrap();
    assert!(refused(long).1.contains("SUN_LEN"));
    let place = Place::new("absent");
    let (kind, _) = refused(unix(&place.0.join("none/b.sock")));
    assert_eq!(kind, io::ErrorKind::NotFound);
}

/// Where one of several cannot be listened on, none is.
#[test]
fn a_broker_listens_everywhere_or_nowhere() {
    let place = Place::new("all");
    fs::write(place.0.join("file"), "").unwrap();
    assert!(start(vec![unix(&place.socket()), unix(&place.0.join("file"))]).is_err());
    assert!(!place.socket().exists());
    // An embedder may want neither.
    let broker = start(Vec::new()).unwrap();
    broker.put_topic("t", &1.into()).unwrap();
    assert_eq!(broker.get_topic("t").unwrap(), Some(1.into()));
    broker.shutdown();
}
