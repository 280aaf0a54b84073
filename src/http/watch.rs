//! What somebody wants to see as it comes, by a stream of events.

use super::problem::Problem;
use super::query::Query;
use super::request::Head;
use crate::codec::Dialect;
use crate::protocol::{DurableRequest, Format, Limits, Overflow, Start, TopicFilter};

/// The parameters that say it.
pub(super) const WATCHED: &[&str] =
    &["topic", "exact", "overflow", "queue", "cleared", "below", "start", "stream"];

/// What is to be seen as it comes.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The filter.
    pub(crate) filter: TopicFilter,
    /// How messages are written: a dialect of JSON.
    pub(crate) dialect: Dialect,
    /// The fate of messages that do not fit.
    pub(crate) overflow: Overflow,
    /// How many may wait.
    pub(crate) queue: Option<u32>,
    /// Whether it is told what is cleared.
    pub(crate) cleared: bool,
    /// Where it begins in a stream, if it is to follow one.
    pub(crate) follow: Option<DurableRequest>,
}

impl Watch {
    /// What a request asks for.
    pub(super) fn of(head: &Head, query: &Query<'_>, limits: &Limits) -> Result<Watch, Problem> {
        let dialect = match query.get("exact") {
            Some("js") => Dialect::JsJson,
            _ => Dialect::new(Format::Json, query.truth("exact")?.unwrap_or(false)),
        };
        let overflow = match query.get("overflow") {
            None => Overflow::default(),
            Some(word) => Overflow::from_word(word).ok_or_else(|| {
                Problem::new(400, "overflow is disconnect, drop-oldest or latest")
            })?,
        };
        let queue = query.number("queue")?.map(u32::try_from).transpose();
        let queue = queue.ok().filter(|queue| *queue != Some(0));
        let queue =
            queue.ok_or_else(|| Problem::new(400, "queue is a number of messages, from 1"))?;
        let cleared = query.truth("cleared")?.unwrap_or(false);
        let below = query.truth("below")?.unwrap_or(true);
        let filter = query.filter(limits)?.below(below);
        let follow = follow(head, query)?;
        Ok(Watch { filter, dialect, overflow, queue, cleared, follow })
    }

    /// Says to who asks for a consumer that there are none here.
    pub(super) fn refuse_consumers(query: &str) -> Result<(), Problem> {
        let is_asked = |parameter: &str| parameter.split('=').next() == Some("consumer");
        if query.split('&').any(is_asked) {
            let what = "who reads events cannot acknowledge any, so there are no consumers here; \
                        follow the stream with start, or consume by a WebSocket at /ws";
            return Err(Problem::new(400, what));
        }
        Ok(())
    }
}

/// Where to begin in a stream. Somebody who was cut off goes on behind the last event that arrived.
fn follow(head: &Head, query: &Query<'_>) -> Result<Option<DurableRequest>, Problem> {
    let Some(text) = query.get("start") else {
        return match query.get("stream") {
            None => Ok(None),
            Some(_) => Err(Problem::new(400, "stream takes start, which says where it begins")),
        };
    };
    let number = || text.parse().ok().filter(|seq| *seq > 0).map(Start::Seq);
    let start = number().or_else(|| Start::from_word(text)).ok_or_else(|| {
        let what = format!(
            "start is new, all, last, the number of a message from 1 on, or a time with its offset \
             as 2026-11-29T17:00:00Z, and not {text:?}"
        );
        Problem::new(400, what)
    })?;
    let stream = query.get("stream").map(str::to_owned);
    let (start, stream) = match head.field("last-event-id") {
        None | Some(b"") => (start, stream),
        Some(id) => {
            let (of, seq) = seen(id).ok_or_else(|| {
                let what =
                    "Last-Event-ID is a stream and a number, as orders:5: the id of an event";
                Problem::new(400, what)
            })?;
            if stream.as_ref().is_some_and(|stream| *stream != of) {
                let what = format!("Last-Event-ID is of the stream {of}, and stream is another");
                return Err(Problem::new(400, what));
            }
            (Start::Seq(seq.saturating_add(1)), Some(of))
        }
    };
    Ok(Some(DurableRequest { start: Some(start), stream, ..DurableRequest::default() }))
}

/// The stream and the number in the id of an event.
fn seen(id: &[u8]) -> Option<(String, u64)> {
    let (stream, seq) = std::str::from_utf8(id).ok()?.rsplit_once(':')?;
    let seq = Some(seq).filter(|seq| seq.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((stream.to_owned(), seq.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::call::Call;
    use super::*;

    fn followed(query: &str, fields: &str) -> Result<Option<(Option<Start>, String)>, u16> {
        let text =
            format!("GET /api/v1/subscribe?topic=/a&{query} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let (head, _) = Head::parse(text.as_bytes()).unwrap();
        match Call::of(&head, &Limits::default()) {
            Ok(Call::Subscribe(Watch { follow, .. })) => {
                Ok(follow.map(|follow| (follow.start, follow.stream.unwrap_or_default())))
            }
            Ok(other) => panic!("{other:?}"),
            Err(problem) => Err(problem.status()),
        }
    }

    #[test]
    fn a_follower_begins_where_it_says_or_behind_what_it_has_seen() {
        let begins = |start, stream: &str| Ok(Some((Some(start), stream.to_owned())));
        assert_eq!(followed("exact", ""), Ok(None));
        assert_eq!(followed("exact", "Last-Event-ID: orders:5\r\n"), Ok(None));
        assert_eq!(followed("start=all", ""), begins(Start::All, ""));
        assert_eq!(followed("start=7&stream=orders", ""), begins(Start::Seq(7), "orders"));
        assert_eq!(
            followed("start=1970-01-01T01:00:01%2b01:00", ""),
            begins(Start::Time(1_000), "")
        );
        assert_eq!(followed("start=all", "Last-Event-ID:\r\n"), begins(Start::All, ""));
        let seen = "Last-Event-ID: orders:5\r\n";
        assert_eq!(followed("start=all", seen), begins(Start::Seq(6), "orders"));
        assert_eq!(followed("start=9&stream=orders", seen), begins(Start::Seq(6), "orders"));
        let last = format!("Last-Event-ID: a:b:{}\r\n", u64::MAX);
        assert_eq!(followed("start=new", &last), begins(Start::Seq(u64::MAX), "a:b"));
    }

    #[test]
    fn what_no_stream_can_begin_with_is_refused() {
        for query in
            ["start=", "start=0", "start=-1", "start=soon", "stream=orders", "start=all&consumer=c"]
        {
            assert_eq!(followed(query, ""), Err(400), "{query}");
        }
        for id in ["5", "orders", "orders:", "orders:x", "orders:-1", "orders:18446744073709551616"]
        {
            let fields = format!("Last-Event-ID: {id}\r\n");
            assert_eq!(followed("start=all", &fields), Err(400), "{id}");
        }
        let other = "Last-Event-ID: bills:5\r\n";
        assert_eq!(followed("start=all&stream=orders", other), Err(400));
    }
}
