//! MQTT 3.1.1 and 5, on the wire.

mod attacks;
mod clients;
mod connect;
mod messages;
mod sessions;
mod shared;
mod subscriptions;
mod sys_topics;
mod takeover;
mod websocket;
mod wills;

use babelmq::{Broker, BrokerHandle, Config, ListenUrl};

/// A broker that speaks MQTT and its own protocol.
fn start() -> BrokerHandle {
    start_with(Config::default(), "mqtt://127.0.0.1:0")
}

/// The same that listens in these places as well, which commas divide.
fn start_with(config: Config, others: &str) -> BrokerHandle {
    let urls = ["127.0.0.1:0"].into_iter().chain(others.split(','));
    let urls = urls.map(|url| url.parse::<ListenUrl>().unwrap());
    Broker::start(config.listeners(urls)).unwrap()
}

/// Reason codes (MQTT 5, 2.4).
mod reason {
    pub(super) const NO_SUBSCRIPTION_EXISTED: u8 = 0x11;
    pub(super) const PROTOCOL_ERROR: u8 = 0x82;
    pub(super) const KEEP_ALIVE: u8 = 0x8d;
    pub(super) const TAKEN_OVER: u8 = 0x8e;
    pub(super) const TOPIC_FILTER: u8 = 0x8f;
    pub(super) const TOPIC_NAME: u8 = 0x90;
    pub(super) const TOPIC_ALIAS: u8 = 0x94;
    pub(super) const TOO_LARGE: u8 = 0x95;
    pub(super) const QUOTA: u8 = 0x97;
    pub(super) const ADMINISTRATIVE: u8 = 0x98;
    pub(super) const PAYLOAD_FORMAT: u8 = 0x99;
}
