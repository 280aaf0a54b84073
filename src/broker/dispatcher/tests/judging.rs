//! How much is judged, and for how long, when clients log in and the policy changes.

use super::*;
use crate::access::Policy;
use crate::broker::sync::bounded;

/// Subscriptions of a client: more than are judged in one step.
const MANY: usize = 1_000;

fn policy(rules: &str) -> Policy {
    let user = |name| format!("[[user]]\nname = '{name}'\ncertificate = true\nroles = ['r']\n");
    let text = format!("{}{}[role.r]\n{rules}\n", user("ada"), user("bob"));
    Policy::parse(&text).unwrap()
}

fn log_in(dispatcher: &mut Dispatcher, policy: &Policy, user: &str) {
    control(dispatcher, Control::Welcome { user: policy.user(user).cloned() });
}

/// A client with [`MANY`] subscriptions.
fn with_many(policy: &Policy) -> (Dispatcher, Inbox) {
    let mut dispatcher = Dispatcher::default().with_policy(Some(policy.clone()));
    let (outbox, inbox) = outbox(QueueLimits::default());
    let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
    let rights = Rights::Of(policy.user("ada").unwrap().clone());
    dispatcher.step(Event::Attach { client: CLIENT, peer, rights, outbox });
    for number in 0..MANY {
        subscribe(&mut dispatcher, &format!("t/{number}"), None);
    }
    assert_eq!(waiting(&inbox).len(), MANY);
    (dispatcher, inbox)
}

/// One that did could have the dispatcher keep and judge more than it has subscribed to.
#[test]
fn a_client_that_logs_in_again_waits_until_its_subscriptions_were_judged() {
    let policy = policy("subscribe = ['#']");
    let (mut dispatcher, inbox) = with_many(&policy);
    for number in 0..100 {
        log_in(&mut dispatcher, &policy, ["bob", "ada"][number % 2]);
    }
    assert_eq!(waiting(&inbox).len(), 1, "the first one was welcome");
    assert_eq!(dispatcher.judging.waiting(), (1, 1));
    dispatcher.go_on_judging();
    dispatcher.go_on_clearing();
    assert!(waiting(&inbox).is_empty(), "some are still to be judged");
    settle(&mut dispatcher);
    assert_eq!(waiting(&inbox).len(), 99);
    // Who is the same as before has nothing to be judged.
    log_in(&mut dispatcher, &policy, "ada");
    assert!(dispatcher.judging.is_empty());
    assert_eq!(waiting(&inbox).len(), 1);
}

#[test]
fn clients_that_log_in_for_ever_do_not_hold_up_a_change() {
    let before = policy("subscribe = ['#']");
    let after = policy("subscribe = ['t']\ndeny-subscribe = ['t/5']");
    let (mut dispatcher, inbox) = with_many(&before);
    let (done, answer) = bounded(1);
    dispatcher.step(Event::Query(Query::Policy(after.clone(), done)));
    let lost = (0..100).find_map(|number| {
        log_in(&mut dispatcher, &after, ["bob", "ada"][number % 2]);
        dispatcher.go_on_judging();
        dispatcher.go_on_clearing();
        answer.try_recv().ok()
    });
    let lost: Vec<String> =
        lost.unwrap().into_iter().filter_map(|lost| Some(lost.filter?.to_string())).collect();
    assert_eq!(lost, ["t/5"]);
    assert!(waiting(&inbox).contains(&"error"));
}

/// A session may have found its rights before a change of which the dispatcher knows already.
#[test]
fn who_attaches_as_a_user_that_there_is_no_more_is_told_so() {
    let before = policy("subscribe = ['#']");
    let mut dispatcher = Dispatcher::default().with_policy(Some(Policy::parse("").unwrap()));
    let (outbox, inbox) = outbox(QueueLimits::default());
    let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
    let rights = Rights::Of(before.user("ada").unwrap().clone());
    dispatcher.step(Event::Attach { client: CLIENT, peer, rights, outbox });
    assert_eq!(waiting(&inbox), ["error"]);
    assert!(dispatcher.by_id.is_empty());
    dispatcher.step(Event::Detach { client: CLIENT });
    assert!(dispatcher.cut_off.is_empty());
}
