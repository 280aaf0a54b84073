//! HTTP/1.1 (RFC 9110, RFC 9112): requests to what they ask of the broker, and its answers to bytes.
//! This room opens no socket, starts no thread and looks at no clock.
//!
//! A session of an HTTP listener reads a [`Head`] and, where there is one, a body ([`BodyReader`]).
//! [`Call::of`] says what is asked; the session asks the dispatcher as any other session does, and
//! puts the answer into a [`Response`]. What cannot be done is a [`Problem`].

mod accept;
mod body;
mod call;
mod clients;
mod credentials;
mod limits;
mod metrics;
mod openapi;
mod origin;
mod page;
mod problem;
mod query;
mod request;
mod requests;
mod response;
mod topics;
mod value;
mod watch;
mod websocket;

pub(crate) use body::BodyReader;
pub(crate) use call::{Call, Publish};
pub(crate) use clients::{ClientEntry, page_of_clients};
pub(crate) use credentials::credentials;
pub(crate) use limits::limits;
pub(crate) use metrics::metrics;
pub(crate) use openapi::description;
pub(crate) use origin::{Origins, Page};
pub(crate) use page::page;
pub(crate) use problem::Problem;
pub(crate) use request::{Head, HeadError};
pub use requests::{Request, Requests};
pub(crate) use response::Response;
pub(crate) use topics::page_of_topics;
pub(crate) use value::{unless_known, value};
pub(crate) use watch::Watch;
pub(crate) use websocket::Handshake;
pub(crate) use websocket::Spoken;
pub use websocket::Subprotocol;
