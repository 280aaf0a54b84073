//! A broker that would be open to other machines does not start unless that is meant.

use babelmq::{Broker, Config, ListenUrl, StartError};

use super::{Users, user};

/// The outcome of a start: that it would have listened, or what is missing.
fn outcome(url: &str, with_users: bool, allow: bool) -> Result<(), String> {
    let users = Users::new(&user("ada", ""));
    let url: ListenUrl =
        url.parse().map_err(|error: babelmq::ParseListenUrlError| error.to_string())?;
    let mut config = Config::default().listeners([url]).allow_anonymous(allow);
    if with_users {
        config = config.users(&users.0);
    }
    match Broker::start(config) {
        // An address that this machine does not have.
        Ok(_) | Err(StartError::Listen { .. } | StartError::Tls(_)) => Ok(()),
        Err(StartError::Unprotected { url, why }) => Err(format!("{url} {why}")),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_other_machines_can_reach_has_users_and_tls_or_says_that_it_has_not() {
    // 192.0.2.0/24 is for documentation: no machine has it, so nothing listens anywhere.
    let (tcp, tls) = ("tcp://192.0.2.1:0", "tls://192.0.2.1:0");
    let missing = |url, with_users, allow| outcome(url, with_users, allow).unwrap_err();
    assert!(missing(tcp, false, false).contains("--users FILE"));
    assert!(missing(tls, false, false).contains("--allow-anonymous"));
    assert!(missing(tcp, true, false).contains("use tls://"));
    assert!(missing("192.0.2.1:0", true, true).contains("tls://192.0.2.1:0, or tcp://"));
    for (url, with_users, allow) in
        [(tls, true, false), (tls, false, true), (tcp, false, true), (tcp, true, true)]
    {
        assert_eq!(outcome(url, with_users, allow), Ok(()), "{url}");
    }
    for url in ["127.0.0.1:0", "[::1]:0", "localhost:0", "tcp://127.0.0.1:0"] {
        assert_eq!(outcome(url, false, false), Ok(()), "{url}");
    }
}
