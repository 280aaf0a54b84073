//! Requests that are answered, to steps.

use super::{login_required, token_of};
use crate::broker::{Control, Rights, Step, check_name};
use crate::codec::{ControlRequest, Dialect};
use crate::protocol::{
    AdminRequest, ErrorCode, Format, Limits, Refusal, Topic, TopicFilter, check_topic_limits,
    check_writable,
};

/// Judges the names of a stream and a consumer, where there are some.
pub(super) fn judge_names(stream: Option<&str>, consumer: Option<&str>) -> Result<(), Refusal> {
    for (field, name) in [("stream", stream), ("consumer", consumer)] {
        name.map_or(Ok(()), |name| check_name(field, name)).map_err(|reason| {
            Refusal::new(ErrorCode::InvalidField, format!("field {field:?}: {reason}"))
        })?;
    }
    Ok(())
}

/// Refuses a consumer that is a session's of MQTT: who is a member beside it takes its messages.
fn judge_own(consumer: Option<&str>) -> Result<(), Refusal> {
    let Some(name) = consumer.filter(|name| name.starts_with('$')) else { return Ok(()) };
    let reason = format!("the consumer {name:?} is the broker's own: names with \"$\" are");
    Err(Refusal::new(ErrorCode::InvalidField, reason))
}

/// The step that a request asks for, its topic judged.
pub(super) fn control(
    request: ControlRequest<'_>,
    format: Format,
    limits: &Limits,
    rights: &Rights,
) -> Result<Step, Refusal> {
    let filter = |topic: &str| {
        let judged = check_topic_limits(topic, limits).and_then(|()| TopicFilter::parse(topic));
        judged.map_err(|refusal| refusal.about(topic))
    };
    let one = |topic: &str| {
        let judged = check_topic_limits(topic, limits).and_then(|()| Topic::parse(topic));
        judged.map_err(|refusal| refusal.about(topic))
    };
    let writable = |topic: &str| check_writable(topic).map_err(|refusal| refusal.about(topic));
    Ok(Step::Control(
        token_of(format),
        match request {
            ControlRequest::Subscribe {
                topic,
                dialect,
                names,
                overflow,
                queue,
                cleared,
                durable,
                below,
            } => {
                let filter = filter(&topic)?.below(below);
                if let Some(durable) = &durable {
                    judge_names(durable.stream.as_deref(), durable.consumer.as_deref())
                        .and_then(|()| judge_own(durable.consumer.as_deref()))
                        .map_err(|refusal| refusal.about(topic))?;
                }
                let names = names.filter(|_| dialect == Dialect::PlainXml).map(Box::new);
                Control::Subscribe {
                    filter,
                    dialect,
                    names,
                    overflow,
                    queue,
                    cleared,
                    values: durable.is_none(),
                    durable,
                }
            }
            ControlRequest::Cancel { topic, stream: None, consumer: None } => {
                Control::Cancel { filter: filter(&topic)? }
            }
            ControlRequest::Cancel { topic, stream, consumer } => {
                judge_names(stream.as_deref(), consumer.as_deref())
                    .map_err(|refusal| refusal.about(topic.as_ref()))?;
                Control::Leave { filter: filter(&topic)?, stream, consumer }
            }
            ControlRequest::List { topic } => {
                Control::List { filter: filter(topic.as_deref().unwrap_or("#"))? }
            }
            ControlRequest::Get { topic, dialect, last } => {
                Control::Get { topic: one(&topic)?, dialect, last }
            }
            // A wildcard names many topics; a topic by itself is no subtree here.
            ControlRequest::Clear { topic } if topic.contains(['+', '#']) => {
                let filter = filter(&topic)?;
                writable(&topic)?;
                Control::ClearBelow { filter }
            }
            ControlRequest::Clear { topic } => {
                let topic = one(&topic)?;
                writable(topic.as_str())?;
                rights.publish(topic.name())?;
                return Ok(Step::Clear(topic));
            }
            ControlRequest::Ping { id } => Control::Ping { id },
            ControlRequest::Stats => Control::Stats,
            ControlRequest::Backup => Control::Backup,
            ControlRequest::Admin(request) => {
                let (stream, consumer) = request.names();
                judge_names(stream, consumer)?;
                if let AdminRequest::AddStream { filter, .. } = &*request {
                    check_topic_limits(filter.as_str(), limits)
                        .map_err(|refusal| refusal.about(filter.as_str()))?;
                }
                Control::Admin(request)
            }
            // These are no steps of this kind: the session answers one, and the other is gathered.
            ControlRequest::Login(_) | ControlRequest::Settle { .. } => {
                return Err(login_required(None));
            }
        },
    ))
}
