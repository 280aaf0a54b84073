//! The answer to who is connected.

use super::response::Response;
use crate::broker::{
    ClientId, ClientReport, FeedReport, MemberReport, Peer, SessionReport, SubscriptionReport,
};
use crate::protocol::Value;

/// Bytes of filters that are told of one client, if there is more than one filter.
const LONGEST_FILTERS: usize = 2 << 10;

/// A connection, or a session of MQTT whose client is away, and what is known of it.
#[derive(Debug)]
pub(crate) struct ClientEntry {
    /// The connection.
    pub(crate) client: ClientId,
    /// Where it connects from, or was connected from.
    pub(crate) peer: Peer,
    /// What it speaks, in a word.
    pub(crate) protocol: &'static str,
    /// Its session, where it speaks MQTT and has one.
    pub(crate) session: Option<SessionReport>,
    /// What the dispatcher knows of it: nothing where it receives nothing.
    pub(crate) report: Option<ClientReport>,
}

/// The connections, and the last of them where there are more.
pub(crate) fn page_of_clients(clients: Vec<ClientEntry>, next: Option<ClientId>) -> Response {
    let clients = Value::List(clients.into_iter().map(ClientEntry::into_value).collect());
    let next = next.map(|next| ("next", number(next.0)));
    Response::of_json([("clients", clients)].into_iter().chain(next))
}

impl ClientEntry {
    fn into_value(self) -> Value {
        let ClientEntry { client, peer, protocol, session, report } = self;
        let user = report.as_ref().and_then(|report| report.user.as_deref());
        let user = user.map(|user| ("user", user.into()));
        let begin = [("id", number(client.0)), ("peer", peer.to_string().into())];
        let mut members: Vec<(&str, Value)> = begin.into_iter().chain(user).collect();
        members.push(("protocol", protocol.into()));
        match session {
            Some(session) => members.extend(session.members(usize::MAX)),
            None => members.push(("connected", true.into())),
        }
        let (subscriptions, count) = report
            .as_ref()
            .map_or((&[][..], 0), |it| (it.subscriptions.as_slice(), it.subscription_count));
        let mut bytes = 0;
        let fits = |subscription: &&SubscriptionReport| {
            let is_first = bytes == 0;
            bytes += subscription.text().len();
            is_first || bytes <= LONGEST_FILTERS
        };
        let told = subscriptions.iter().take_while(fits).map(subscription).collect();
        members.push(("subscriptions", Value::List(told)));
        members.push(("subscription_count", number(count)));
        let feeds = report.as_ref().map_or(&[][..], |it| it.feeds.as_slice());
        let feed_count = report.as_ref().map_or(0, |it| it.feed_count);
        if feed_count > 0 {
            let fits = |feed: &&FeedReport| {
                let is_first = bytes == 0;
                bytes += feed.filter.as_str().len();
                is_first || bytes <= LONGEST_FILTERS
            };
            let told = feeds.iter().take_while(fits).map(feed).collect();
            members.push(("consumes", Value::List(told)));
            members.push(("consumes_count", number(feed_count)));
        }
        let of = |number: fn(&ClientReport) -> u64| report.as_ref().map_or(0, number);
        members.push(("waiting_messages", number(of(|it| it.waiting))));
        members.push(("waiting_bytes", number(of(|it| it.waiting_bytes))));
        members.push(("delivered", number(of(|it| it.delivered))));
        members.push(("dropped", number(of(|it| it.dropped))));
        members.push(("slow", report.as_ref().is_some_and(|it| it.is_slow).into()));
        object(members)
    }
}

fn subscription(subscription: &SubscriptionReport) -> Value {
    let SubscriptionReport { filter, format, overflow, waiting, dropped, .. } = subscription;
    let alone = (!filter.reaches_below()).then_some(("below", false.into()));
    let begin = [("filter", subscription.text().into())].into_iter().chain(alone);
    object(begin.chain([
        ("format", format.name().into()),
        ("overflow", overflow.as_str().into()),
        ("waiting", number(*waiting)),
        ("dropped", number(*dropped)),
    ]))
}

fn feed(feed: &FeedReport) -> Value {
    let FeedReport { stream, member, filter, format } = feed;
    let mut members: Vec<(&str, Value)> = vec![("stream", (&**stream).into())];
    if let Some(MemberReport { consumer, .. }) = member {
        members.push(("consumer", (&**consumer).into()));
    }
    members.push(("filter", filter.as_str().into()));
    members.push(("format", format.name().into()));
    if let Some(MemberReport { window, outstanding, .. }) = member {
        members.push(("window", number(*window)));
        members.push(("outstanding", number(*outstanding)));
    }
    object(members)
}

fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Dict(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn number(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Format, Overflow, TopicFilter};

    #[test]
    fn long_filters_are_told_in_part_and_all_are_counted() {
        let report = |lengths: &[usize]| {
            let subscriptions = lengths.iter().map(|length| SubscriptionReport {
                filter: TopicFilter::parse(&"x".repeat(*length)).unwrap(),
                group: None,
                format: Format::Xml,
                overflow: Overflow::Latest,
                waiting: 1,
                dropped: 2,
            });
            let report = ClientReport {
                client: ClientId(7),
                user: Some("ada".into()),
                subscriptions: subscriptions.collect(),
                subscription_count: 30,
                feeds: Vec::new(),
                feed_count: 0,
                waiting: 3,
                waiting_bytes: 4,
                delivered: 5,
                dropped: 6,
                is_slow: true,
            };
            let peer = Peer::Tcp(([127, 0, 0, 1], 4_242).into());
            let entry = ClientEntry {
                client: ClientId(7),
                peer,
                protocol: "tcp",
                session: None,
                report: Some(report),
            };
            let page = page_of_clients(vec![entry], Some(ClientId(7)));
            String::from_utf8(page.body().to_vec()).unwrap()
        };
        let text = report(&[1_000, 1_000, 48, 1]);
        assert_eq!(text.matches("\"filter\"").count(), 3);
        assert_eq!(report(&[1_000, 1_000, 49]).matches("\"filter\"").count(), 2);
        let around = |text: &str| text.replace(&"x".repeat(1_000), "long");
        assert_eq!(
            around(&report(&[1_000])),
            "{\"clients\":[{\"id\":7,\"peer\":\"127.0.0.1:4242\",\"user\":\"ada\",\
             \"protocol\":\"tcp\",\"connected\":true,\
             \"subscriptions\":[{\"filter\":\"long\",\"format\":\"xml\",\
             \"overflow\":\"latest\",\"waiting\":1,\"dropped\":2}],\"subscription_count\":30,\
             \"waiting_messages\":3,\"waiting_bytes\":4,\"delivered\":5,\"dropped\":6,\
             \"slow\":true}],\"next\":7}"
        );
    }
}
