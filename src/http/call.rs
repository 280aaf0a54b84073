//! What a request asks for: its method and its path, judged.

use super::accept::preferred;
use super::problem::Problem;
use super::query::{Query, filter};
use super::request::Head;
use super::response::Response;
use super::value::{MEDIA_TYPES, format_of_body};
use super::watch::{WATCHED, Watch};
use super::websocket::Handshake;
use crate::protocol::{Format, Limits, MAX_PUBLISH_ID_BYTES, Topic, TopicFilter};

/// Topics or clients in an answer, where nothing else is asked for, and at most.
const USUAL_PAGE: usize = 1_000;
const LONGEST_PAGE: usize = 10_000;
/// The same of clients, at most.
const MOST_CLIENTS: usize = 1_000;

/// Something that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// The dashboard.
    Page,
    /// Whether the process lives.
    Health,
    /// Whether the broker can be used.
    Ready,
    /// The last value of a topic.
    Value,
    /// A message to be published.
    Publish,
    /// What is published, as it comes.
    Subscribe,
    /// What is spoken to other listeners, in messages of WebSocket.
    WebSocket,
    /// The topics that hold a value.
    Topics,
    /// The counters.
    Stats,
    /// Who is connected.
    Clients,
    /// The streams that there are.
    Streams,
    /// Their consumers.
    Consumers,
    /// The dead letters.
    Dead,
    /// A dead letter whose message is to be delivered again.
    RetryDead,
    /// What a message may be.
    Limits,
    /// The counters for Prometheus.
    Metrics,
    /// All of this, described for programs.
    Description,
}

/// All of them by path, with the methods that they know. Who knows GET knows HEAD.
pub(super) const ENDPOINTS: &[(&str, Endpoint, &[&str])] = &[
    ("/", Endpoint::Page, &["GET"]),
    ("/healthz", Endpoint::Health, &["GET"]),
    ("/readyz", Endpoint::Ready, &["GET"]),
    ("/metrics", Endpoint::Metrics, &["GET"]),
    ("/api/v1/value", Endpoint::Value, &["GET", "DELETE"]),
    ("/api/v1/publish", Endpoint::Publish, &["POST"]),
    ("/api/v1/subscribe", Endpoint::Subscribe, &["GET"]),
    ("/api/v1/topics", Endpoint::Topics, &["GET"]),
    ("/api/v1/stats", Endpoint::Stats, &["GET"]),
    ("/api/v1/clients", Endpoint::Clients, &["GET", "DELETE"]),
    ("/api/v1/streams", Endpoint::Streams, &["GET"]),
    ("/api/v1/consumers", Endpoint::Consumers, &["GET"]),
    ("/api/v1/dead", Endpoint::Dead, &["DELETE"]),
    ("/api/v1/dead/retry", Endpoint::RetryDead, &["POST"]),
    ("/api/v1/limits", Endpoint::Limits, &["GET"]),
    ("/ws", Endpoint::WebSocket, &["GET"]),
    // Where clients of MQTT look by themselves.
    ("/mqtt", Endpoint::WebSocket, &["GET"]),
    ("/openapi.json", Endpoint::Description, &["GET"]),
];

/// Methods that HTTP knows, whether or not somebody knows them here.
const METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A request that can be done.
#[derive(Debug)]
pub(crate) enum Call {
    /// See [`Endpoint::Page`].
    Page,
    /// See [`Endpoint::Health`].
    Health,
    /// See [`Endpoint::Ready`].
    Ready,
    /// A value, in the first of these media types that it can be written in.
    Value {
        /// The topic.
        topic: Topic,
        /// What the client takes, in the order of what it prefers; never empty.
        media_types: Vec<&'static str>,
        /// Whether JSON has tags for what it cannot tell apart.
        exact: bool,
    },
    /// The last values of a filter are to be forgotten.
    Clear {
        /// The topic or the filter, as it was spelled.
        topic: String,
    },
    /// See [`Endpoint::Publish`].
    Publish(Publish),
    /// See [`Endpoint::Subscribe`].
    Subscribe(Watch),
    /// See [`Endpoint::WebSocket`].
    WebSocket(Handshake),
    /// See [`Endpoint::Topics`].
    Topics {
        /// Which.
        filter: TopicFilter,
        /// Only those behind this one.
        after: Option<String>,
        /// How many.
        limit: usize,
    },
    /// See [`Endpoint::Stats`].
    Stats,
    /// See [`Endpoint::Metrics`].
    Metrics,
    /// See [`Endpoint::Clients`].
    Clients {
        /// Only those behind this one.
        after: Option<u64>,
        /// How many.
        limit: usize,
    },
    /// A connection is to be ended.
    Disconnect {
        /// The number of its client.
        client: u64,
    },
    /// See [`Endpoint::Streams`].
    Streams,
    /// See [`Endpoint::Consumers`].
    Consumers {
        /// Those of this stream alone.
        stream: Option<String>,
    },
    /// A dead letter is to be forgotten.
    DeleteDead {
        /// Its number.
        seq: u64,
    },
    /// See [`Endpoint::RetryDead`].
    RetryDead {
        /// The number of the letter.
        seq: u64,
    },
    /// See [`Endpoint::Limits`].
    Limits,
    /// See [`Endpoint::Description`].
    Description,
    /// What could be asked for there.
    Options(Response),
}

/// A message that is published.
#[derive(Debug)]
pub(crate) struct Publish {
    /// Where.
    pub(crate) topic: Topic,
    /// The format of the body; `None` for plain text, which is a string.
    pub(crate) format: Option<Format>,
    /// Whether it becomes the last value.
    pub(crate) retain: bool,
    /// Seconds that it is one.
    pub(crate) ttl: Option<u32>,
    /// What its publisher calls it.
    pub(crate) id: Option<Box<str>>,
}

impl Call {
    /// What a request asks for.
    ///
    /// # Errors
    /// Where it is nothing that there is, or not asked for as it should be.
    pub(crate) fn of(head: &Head, limits: &Limits) -> Result<Call, Problem> {
        let method = head.method.as_str();
        if !METHODS.contains(&method) {
            let what = format!("there is no method {method:?}; methods are in capitals");
            return Err(Problem::new(501, what));
        }
        if head.path == "*" {
            let all = "GET, HEAD, POST, DELETE, OPTIONS";
            return match method {
                "OPTIONS" => Ok(Call::Options(Response::new(204).with("Allow", all))),
                _ => Err(Problem::new(400, "* is no path but for OPTIONS")),
            };
        }
        let Some((_, endpoint, methods)) =
            ENDPOINTS.iter().find(|(path, ..)| *path == head.path.as_str())
        else {
            let paths: Vec<&str> = ENDPOINTS.iter().map(|(path, ..)| *path).collect();
            let what =
                format!("there is nothing at {:?}; there are {}", head.path, paths.join(" "));
            return Err(Problem::new(404, what));
        };
        let asked = if method == "HEAD" { "GET" } else { method };
        if !methods.contains(&asked) {
            let allow = allowed(methods);
            if method == "OPTIONS" {
                return Ok(Call::Options(Response::new(204).with("Allow", allow)));
            }
            let what = format!("{} takes {allow}, and no {method}", head.path);
            return Err(Problem::new(405, what).with("Allow", allow));
        }
        if asked == "GET" && head.has_body() {
            return Err(Problem::new(400, "a GET has no body here; a message is sent by POST"));
        }
        endpoint.call(asked, head, limits)
    }

    /// Whether it is answered to whoever asks. The page is where one logs in, and so is the first
    /// frame of a WebSocket.
    pub(crate) fn is_for_everybody(&self) -> bool {
        matches!(
            self,
            Call::Page
                | Call::Description
                | Call::Health
                | Call::Ready
                | Call::Options(_)
                | Call::WebSocket(_)
        )
    }

    /// Whether its answer may be had from a page of another host without anything being changed.
    pub(crate) fn is_safe(&self) -> bool {
        !matches!(
            self,
            Call::Publish(_)
                | Call::Clear { .. }
                | Call::Disconnect { .. }
                | Call::DeleteDead { .. }
                | Call::RetryDead { .. }
                | Call::WebSocket(_)
        )
    }
}

impl Endpoint {
    /// The names of the parameters that it knows with a method.
    pub(super) fn parameters(self, method: &str) -> &'static [&'static str] {
        match self {
            Endpoint::Page
            | Endpoint::Health
            | Endpoint::Ready
            | Endpoint::Stats
            | Endpoint::Metrics
            | Endpoint::Streams
            | Endpoint::Limits
            | Endpoint::WebSocket
            | Endpoint::Description => &[],
            Endpoint::Consumers => &["stream"],
            Endpoint::Dead | Endpoint::RetryDead => &["seq"],
            Endpoint::Clients if method == "DELETE" => &["id"],
            Endpoint::Clients => &["after", "limit"],
            Endpoint::Value if method == "DELETE" => &["topic"],
            Endpoint::Value => &["topic", "exact"],
            Endpoint::Publish => &["topic", "retain", "ttl", "id"],
            Endpoint::Subscribe => WATCHED,
            Endpoint::Topics => &["filter", "after", "limit"],
        }
    }

    fn call(self, method: &str, head: &Head, limits: &Limits) -> Result<Call, Problem> {
        if self == Endpoint::Subscribe {
            Watch::refuse_consumers(&head.query)?;
        }
        let query = Query::parse(&head.query, self.parameters(method))?;
        Ok(match self {
            Endpoint::Page => Call::Page,
            Endpoint::Health => Call::Health,
            Endpoint::Ready => Call::Ready,
            Endpoint::Stats => Call::Stats,
            Endpoint::Metrics => Call::Metrics,
            Endpoint::Limits => Call::Limits,
            Endpoint::Streams => Call::Streams,
            Endpoint::Consumers => Call::Consumers { stream: query.get("stream").map(Into::into) },
            Endpoint::Dead => Call::DeleteDead { seq: letter(&query)? },
            Endpoint::RetryDead => Call::RetryDead { seq: letter(&query)? },
            Endpoint::Description => Call::Description,
            Endpoint::WebSocket => Call::WebSocket(Handshake::of(head)?),
            Endpoint::Clients if method == "DELETE" => {
                let missing = || Problem::new(400, "the query lacks id, the number of a client");
                Call::Disconnect { client: query.number("id")?.ok_or_else(missing)? }
            }
            Endpoint::Clients => {
                let limit = query.number("limit")?.unwrap_or(USUAL_PAGE as u64);
                let limit =
                    usize::try_from(limit).ok().filter(|it| (1..=MOST_CLIENTS).contains(it));
                let limit = limit.ok_or_else(|| {
                    Problem::new(400, format!("limit is a number from 1 to {MOST_CLIENTS}"))
                })?;
                Call::Clients { after: query.number("after")?, limit }
            }
            Endpoint::Value if method == "DELETE" => {
                query.filter(limits)?;
                Call::Clear { topic: query.get("topic").unwrap_or_default().to_owned() }
            }
            Endpoint::Value => {
                let media_types = preferred(head, MEDIA_TYPES);
                if media_types.is_empty() {
                    return Err(super::value::not_acceptable());
                }
                let (topic, exact) = (query.topic(limits)?, query.truth("exact")?);
                Call::Value { topic, media_types, exact: exact.unwrap_or(false) }
            }
            Endpoint::Publish => {
                let ttl = query.number("ttl")?.map(u32::try_from).transpose();
                let ttl = ttl.ok().filter(|ttl| *ttl != Some(0)).ok_or_else(|| {
                    Problem::new(400, "ttl is a number of seconds, from 1 to 4294967295")
                })?;
                let id = query.get("id");
                if id.is_some_and(|id| !(1..=MAX_PUBLISH_ID_BYTES).contains(&id.len())) {
                    let what = format!("id is a text of 1 to {MAX_PUBLISH_ID_BYTES} bytes");
                    return Err(Problem::new(400, what));
                }
                Call::Publish(Publish {
                    id: id.map(Into::into),
                    topic: query.writable(limits)?,
                    format: format_of_body(head)?,
                    retain: query.truth("retain")?.unwrap_or(true),
                    ttl,
                })
            }
            Endpoint::Subscribe => Call::Subscribe(Watch::of(head, &query, limits)?),
            Endpoint::Topics => {
                let limit = query.number("limit")?.map_or(Ok(USUAL_PAGE), usize::try_from);
                let limit = limit.ok().filter(|limit| (1..=LONGEST_PAGE).contains(limit));
                let limit = limit.ok_or_else(|| {
                    Problem::new(400, format!("limit is a number from 1 to {LONGEST_PAGE}"))
                })?;
                let filter = filter(query.get("filter").unwrap_or("#"), limits)?;
                Call::Topics { filter, after: query.get("after").map(str::to_owned), limit }
            }
        })
    }
}

/// The number of a dead letter.
fn letter(query: &Query<'_>) -> Result<u64, Problem> {
    let missing = || Problem::new(400, "the query lacks seq, the number of a dead letter");
    query.number("seq")?.ok_or_else(missing)
}

/// The methods of an endpoint, as a field `Allow` has them.
fn allowed(methods: &[&str]) -> String {
    let head = methods.contains(&"GET").then_some("HEAD");
    methods.iter().copied().chain(head).chain(["OPTIONS"]).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Dialect;
    use crate::protocol::Overflow;

    fn call(line: &str, fields: &str) -> Result<Call, u16> {
        let text = format!("{line} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let (head, _) = Head::parse(text.as_bytes()).unwrap();
        Call::of(&head, &Limits::default()).map_err(|problem| problem.status())
    }

    #[test]
    fn what_can_be_done_is_understood() {
        assert!(matches!(call("GET /", ""), Ok(Call::Page)));
        assert!(matches!(call("GET /healthz", ""), Ok(Call::Health)));
        assert!(matches!(call("HEAD /readyz", ""), Ok(Call::Ready)));
        let Ok(Call::Publish(publish)) = call(
            "POST /api/v1/publish?topic=/a&retain=false&ttl=5&id=x%201",
            "Content-Type: text/xml\r\n",
        ) else {
            panic!("a publish");
        };
        assert_eq!((publish.topic.as_str(), publish.format), ("/a", Some(Format::Xml)));
        assert_eq!((publish.retain, publish.ttl), (false, Some(5)));
        assert_eq!(publish.id.as_deref(), Some("x 1"));
        let Ok(Call::Subscribe(watch)) =
            call("GET /api/v1/subscribe?topic=/a/+/%23&exact=js&overflow=latest&queue=9", "")
        else {
            panic!("a subscription");
        };
        assert_eq!((watch.filter.as_str(), watch.dialect), ("/a/+/#", Dialect::JsJson));
        assert_eq!((watch.overflow, watch.queue), (Overflow::Latest, Some(9)));
        let Ok(Call::Options(response)) = call("OPTIONS /api/v1/value", "") else {
            panic!("options");
        };
        let head = String::from_utf8(response.head(true, "now")).unwrap();
        assert!(head.contains("Allow: GET, DELETE, HEAD, OPTIONS\r\n"), "{head}");
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (line, fields, status) in [
            ("GET /nowhere", "", 404),
            ("GET /healthz/", "", 404),
            ("get /healthz", "", 501),
            ("BREW /healthz", "", 501),
            ("POST /healthz", "", 405),
            ("TRACE /healthz", "", 405),
            ("GET /healthz?x=1", "", 400),
            ("GET /healthz", "Content-Length: 5\r\n", 400),
            ("GET /api/v1/value", "", 400),
            ("GET /api/v1/value?topic=/a/%23", "", 400),
            ("GET /api/v1/value?topic=/a", "Accept: image/png\r\n", 406),
            ("POST /api/v1/publish?topic=/a", "Content-Type: image/png\r\n", 415),
            ("POST /api/v1/publish?topic=/a&ttl=0", "", 400),
            ("POST /api/v1/publish?topic=/a&ttl=4294967296", "", 400),
            ("POST /api/v1/publish?topic=/a&retain=1", "", 400),
            ("POST /api/v1/publish?topic=/a&id=", "", 400),
            ("GET /api/v1/subscribe?topic=/a&overflow=never", "", 400),
            ("GET /api/v1/subscribe?topic=/a&queue=0", "", 400),
            ("GET /api/v1/topics?limit=0", "", 400),
            ("GET /api/v1/streams?stream=a", "", 400),
            ("DELETE /api/v1/dead", "", 400),
            ("DELETE /api/v1/dead?seq=x", "", 400),
            ("POST /api/v1/dead/retry", "", 400),
            ("GET /api/v1/dead?seq=1", "", 405),
            ("GET /api/v1/dead/retry?seq=1", "", 405),
            ("GET /api/v1/topics?limit=10001", "", 400),
            ("GET *", "", 400),
        ] {
            assert_eq!(call(line, fields).map(drop), Err(status), "{line} {fields}");
        }
    }
}
