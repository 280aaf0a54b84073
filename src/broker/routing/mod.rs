//! Subscriptions, and the ways that messages go by them.

mod fanout;
mod filter_map;
mod groups;
mod patterns;
mod routes;
mod subscriptions;

pub(in crate::broker) use fanout::{Fanout, Recipient, share_equally};
pub(crate) use filter_map::FilterMap;
pub(in crate::broker) use groups::{Given, Groups, Member};
pub(in crate::broker) use routes::{RouteSet, RouteSets};
pub(in crate::broker) use subscriptions::{Route, Routes, Subscription, Subscriptions, Way};
