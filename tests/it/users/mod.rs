//! A broker with users: who gets in, what each may do, and what changes while they are connected.
#![cfg(feature = "broker")]

#[cfg(feature = "middleware")]
mod clients;
mod logins;
mod loopholes;
mod mqtt;
mod protection;
mod reload;
mod rights;
mod streams;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use babelmq::Format::Json;
use babelmq::{Broker, BrokerHandle, Config, Format};

use crate::support::Field::Str;
use crate::support::{Client, Frame, config};

/// The hash of the password `secret`; a cheap one, so that it is quick.
const SECRET: &str = "$argon2id$v=19$m=8,t=1,p=1$CQkJCQkJCQkJCQkJCQkJCQ$\
                      v7unw+/+0CHtZEInTOV8NnoB2Z/ChF6eWBlT9bluIY0";
/// That of `better`.
const BETTER: &str = "$argon2id$v=19$m=8,t=1,p=1$CQkJCQkJCQkJCQkJCQkJCQ$\
                      scWvCN37P2NEmsO/EZay/FeNSjK36XiUY2nMT/+/JJ0";
/// The SHA-256 of the token `token`.
const TOKEN: &str = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0";

/// A users file in a folder of its own.
struct Users(PathBuf);

impl Users {
    fn new(text: &str) -> Users {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("users-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let users = Users(folder.join("users.toml"));
        users.write(text);
        users
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    fn start(&self, change: impl FnOnce(Config) -> Config) -> BrokerHandle {
        Broker::start(change(config().users(&self.0))).unwrap()
    }
}

/// A user with the password `secret`, and a role of the same name that has these lists.
fn user(name: &str, role: &str) -> String {
    format!(
        "[[user]]\nname = {name:?}\npassword = {SECRET:?}\nroles = [{name:?}]\n\
         [role.{name}]\n{role}\n"
    )
}

/// A broker with these users.
fn start(users: &str) -> (BrokerHandle, Users) {
    let users = Users::new(users);
    (users.start(|config| config), users)
}

/// A client that has logged in with the password `secret`.
fn logged_in(broker: &BrokerHandle, user: &str) -> Client {
    let mut client = Client::connect(broker);
    log_in(&mut client, Json, user, "secret");
    let welcome = client.next();
    assert_eq!(welcome.field("user"), user, "{:?}", welcome.fields());
    client
}

fn log_in(client: &mut Client, format: Format, user: &str, password: &str) {
    let fields = [("command", Str("login")), ("user", Str(user)), ("password", Str(password))];
    client.command(format, &fields);
}

fn command(client: &mut Client, command: &str, topic: &str) {
    client.command(Json, &[("command", Str(command)), ("topic", Str(topic))]);
}

/// Fails unless this is the refusal of what concerns a topic, and says neither why nor what else
/// there is.
#[track_caller]
fn is_not_permitted(frame: &Frame, user: &str, topic: &str) {
    frame.refuses("not-permitted", false);
    let reason = frame.field("reason");
    assert_eq!(frame.field("topic"), topic);
    assert!(reason.contains(&format!("user {user:?} may not")), "{reason}");
    assert!(reason.contains(&format!("{topic:?}")) && !reason.contains("role"), "{reason}");
}

/// The topics of deliveries, in order.
fn topics(frames: &[Frame]) -> Vec<String> {
    frames.iter().map(|frame| frame.field("topic")).collect()
}
