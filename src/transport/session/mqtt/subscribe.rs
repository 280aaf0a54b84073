//! SUBSCRIBE and UNSUBSCRIBE to what they ask of the dispatcher.

use std::sync::Arc;

use crate::broker::sync::Mutex;
use crate::broker::{Control, Step};
use crate::protocol::{Limits, Overflow, Token, TopicFilter};
use crate::wire::MqttFormat;
use crate::wire::mqtt::{
    Asked, Fault, Granted, Kind, Publishes, Question, Reason, RetainHandling, Subscribe, Talk,
    TopicRefused, Unsubscribe, Wanted, wanted,
};

/// Filters of one packet that are looked at; each is a step of the dispatcher.
const MOST_FILTERS: usize = 1_024;

/// Filters of one packet that are answered, each by a byte.
const MOST_ANSWERED: usize = 16 * MOST_FILTERS;

/// A filter that is refused, and why in words.
type Refused = (Reason, String);

/// Asks for what a SUBSCRIBE asks for.
pub(super) fn subscribe(
    subscribe: &Subscribe<'_>,
    format: MqttFormat,
    limits: &Limits,
    talk: &Arc<Mutex<Talk>>,
    publishes: &mut Publishes<'_>,
) -> Result<(), Fault> {
    check_count(Kind::Subscribe, subscribe.filters().count())?;
    let token = Token(subscribe.id.get());
    let mut question = Question::new(subscribe.id, true);
    let mut steps = Vec::new();
    for (place, asked) in subscribe.filters().enumerate() {
        match filter(place, asked.filter, limits) {
            Err(refused) => question.refuse(refused),
            Ok(filter) => {
                steps.push(one(&asked, &filter, subscribe.identifier, format, talk));
                question.filters.push(Err((filter, Reason(asked.qos.byte()))));
            }
        }
    }
    talk.lock().ask(question);
    steps.into_iter().for_each(|control| publishes.then(Step::Control(token, control)));
    Ok(())
}

/// Grants what is asked for, and asks the dispatcher for it.
fn one(
    asked: &Asked<'_>,
    filter: &TopicFilter,
    identifier: Option<u32>,
    format: MqttFormat,
    talk: &Arc<Mutex<Talk>>,
) -> Control {
    let granted = Granted {
        qos: asked.qos,
        no_local: asked.no_local,
        retain_as_published: asked.retain_as_published,
        identifier,
    };
    let was_there = talk.lock().grant(filter, granted);
    Control::Subscribe {
        filter: filter.clone(),
        dialect: format.dialect(),
        names: None,
        overflow: Overflow::Disconnect,
        queue: None,
        // A last value that is cleared is told by a message of no bytes.
        cleared: true,
        values: match asked.retain_handling {
            RetainHandling::Always => true,
            RetainHandling::IfNew => !was_there,
            RetainHandling::Never => false,
        },
        durable: None,
    }
}

/// Ends what an UNSUBSCRIBE names.
pub(super) fn unsubscribe(
    unsubscribe: &Unsubscribe<'_>,
    limits: &Limits,
    talk: &Arc<Mutex<Talk>>,
    publishes: &mut Publishes<'_>,
) -> Result<(), Fault> {
    check_count(Kind::Unsubscribe, unsubscribe.filters().count())?;
    let token = Token(unsubscribe.id.get());
    let mut question = Question::new(unsubscribe.id, false);
    let mut steps = Vec::new();
    for (place, text) in unsubscribe.filters().enumerate() {
        match filter(place, text, limits) {
            Err(refused) => question.refuse(refused),
            Ok(filter) if talk.lock().revoke(&filter) => {
                steps.push(Control::Cancel { filter: filter.clone() });
                question.filters.push(Err((filter, Reason::SUCCESS)));
            }
            Ok(_) => question.filters.push(Ok(Reason::NO_SUBSCRIPTION_EXISTED)),
        }
    }
    talk.lock().ask(question);
    steps.into_iter().for_each(|control| publishes.then(Step::Control(token, control)));
    Ok(())
}

/// Says whether a packet has no more filters than are answered.
fn check_count(kind: Kind, filters: usize) -> Result<(), Fault> {
    let what = "it has far more filters than the broker looks at; send them in several packets";
    let has_too_many = filters > MOST_ANSWERED;
    if has_too_many { Err(Fault::of(Reason::QUOTA, kind.name(), what)) } else { Ok(()) }
}

/// The filter of a text, at its place in the packet.
fn filter(place: usize, text: &str, limits: &Limits) -> Result<TopicFilter, Refused> {
    if place >= MOST_FILTERS {
        let words = format!("a packet has at most {MOST_FILTERS} filters here; send more packets");
        return Err((Reason::QUOTA, words));
    }
    match wanted(text, limits) {
        Ok(Wanted { group: None, filter }) => Ok(filter),
        Ok(Wanted { group: Some(_), .. }) => {
            let words = "this broker has no shared subscriptions yet; a durable consumer of a \
                         stream, in the broker's own protocol, shares work";
            Err((Reason::SHARED, words.to_owned()))
        }
        Err(TopicRefused { reason, words }) => Err((reason, words)),
    }
}
