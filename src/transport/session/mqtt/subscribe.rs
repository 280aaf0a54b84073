//! SUBSCRIBE and UNSUBSCRIBE to what they ask of the dispatcher.

use super::keeping::{Keeping, leaving, subscribing};
use crate::broker::sync::Mutex;
use crate::broker::{Control, Step};
use crate::protocol::{Limits, Qos, Token};
use crate::wire::MqttFormat;
use crate::wire::mqtt::{
    Asked, Durable, Fault, Granted, Kind, Publishes, Question, Reason, RetainHandling, Subscribe,
    Subscribed, Talk, TopicRefused, Unsubscribe, Wanted, wanted,
};

/// Filters of one packet that are looked at; each is a step of the dispatcher.
const MOST_FILTERS: usize = 1_024;

/// Filters of one packet that are answered, each by a byte.
const MOST_ANSWERED: usize = 16 * MOST_FILTERS;

/// A filter that is refused, and why in words.
type Refused = (Reason, String);

/// What is done when the dispatcher has seen what a packet asks for.
#[derive(Default)]
pub(super) struct Then {
    /// Whether there are other subscriptions.
    pub(super) has_changed: bool,
    /// Consumers that no subscription has any more.
    pub(super) left: Vec<Durable>,
}

/// Asks for what a SUBSCRIBE asks for.
pub(super) fn subscribe(
    subscribe: &Subscribe<'_>,
    format: MqttFormat,
    limits: &Limits,
    keeping: &Keeping<'_>,
    publishes: &mut Publishes<'_>,
    then: &mut Then,
) -> Result<(), Fault> {
    check_count(Kind::Subscribe, subscribe.filters().count())?;
    let token = Token(subscribe.id.get());
    let mut question = Question::new(subscribe.id, true);
    let mut wanted = Vec::new();
    for (place, asked) in subscribe.filters().enumerate() {
        match filter(place, asked.filter, limits) {
            Err(refused) => question.refuse(refused),
            Ok(one) => {
                let granted = granted(&asked, subscribe.identifier);
                let goes_on = shows_values(&asked, keeping.talk, &one);
                question.ask(one.clone(), Reason(asked.qos.byte()), goes_on);
                let Wanted { group, filter } = one;
                wanted.push((Subscribed { filter, group, granted, durable: None }, goes_on));
            }
        }
    }
    let streams = keeping.streams_for(wanted.iter().map(|(subscribed, _)| subscribed));
    let mut steps = Vec::new();
    let wanted = wanted.into_iter().zip(streams).zip(question.pending());
    for (((mut subscribed, with_values), stream), pending) in wanted {
        subscribed.durable = stream.and_then(|stream| keeping.consumer(&subscribed, stream));
        if subscribed.durable.is_some() {
            let most = &mut subscribed.granted.qos;
            *most = Qos::AtLeastOnce.min(*most);
            pending.reason = Reason(most.byte());
        }
        let filter = subscribed.filter.clone();
        let before = keeping.talk.lock().grant(subscribed.clone());
        let goes_on = before.as_ref().is_some_and(|before| before.durable == subscribed.durable);
        let control = subscribing(&subscribed, goes_on, format, with_values, keeping.window);
        pending.before = before.clone().filter(|before| goes_on && before.durable.is_none());
        match before.map(|before| before.durable) {
            Some(None) if !goes_on => steps.push((Token(0), Control::Cancel { filter })),
            Some(Some(durable)) if !goes_on => {
                steps.push((Token(0), leaving(filter, &durable)));
                then.left.push(durable);
            }
            _ => {}
        }
        steps.push((token, control));
    }
    then.has_changed = true;
    keeping.talk.lock().ask(question);
    for (token, control) in steps {
        publishes.then(Step::Control(token, control));
    }
    Ok(())
}

fn granted(asked: &Asked<'_>, identifier: Option<u32>) -> Granted {
    Granted {
        qos: asked.qos,
        no_local: asked.no_local,
        retain_as_published: asked.retain_as_published,
        identifier,
    }
}

/// Whether a subscription begins with the last values. One that is shared does not.
fn shows_values(asked: &Asked<'_>, talk: &Mutex<Talk>, wanted: &Wanted) -> bool {
    match asked.retain_handling {
        _ if wanted.group.is_some() => false,
        RetainHandling::Always => true,
        RetainHandling::IfNew => !talk.lock().has(&wanted.filter),
        RetainHandling::Never => false,
    }
}

/// Ends what an UNSUBSCRIBE names.
pub(super) fn unsubscribe(
    unsubscribe: &Unsubscribe<'_>,
    limits: &Limits,
    talk: &Mutex<Talk>,
    publishes: &mut Publishes<'_>,
    then: &mut Then,
) -> Result<(), Fault> {
    check_count(Kind::Unsubscribe, unsubscribe.filters().count())?;
    let token = Token(unsubscribe.id.get());
    let mut question = Question::new(unsubscribe.id, false);
    let mut steps = Vec::new();
    for (place, text) in unsubscribe.filters().enumerate() {
        let wanted = match filter(place, text, limits) {
            Ok(wanted) => wanted,
            Err(refused) => {
                question.refuse(refused);
                continue;
            }
        };
        match talk.lock().revoke(&wanted) {
            Some(Subscribed { filter, group, durable, .. }) => {
                steps.push(match (group, durable) {
                    (Some(group), _) => Control::Quit { group, filter },
                    (None, Some(durable)) => {
                        let control = leaving(filter, &durable);
                        then.left.push(durable);
                        control
                    }
                    (None, None) => Control::Cancel { filter },
                });
                question.ask(wanted, Reason::SUCCESS, false);
                then.has_changed = true;
            }
            None => question.filters.push(Ok(Reason::NO_SUBSCRIPTION_EXISTED)),
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
fn filter(place: usize, text: &str, limits: &Limits) -> Result<Wanted, Refused> {
    if place >= MOST_FILTERS {
        let words = format!("a packet has at most {MOST_FILTERS} filters here; send more packets");
        return Err((Reason::QUOTA, words));
    }
    wanted(text, limits).map_err(|TopicRefused { reason, words }| (reason, words))
}
