//! Telling the subscriptions that asked for it that last values are gone: cleared, or expired.
//!
//! What is gone together is told together, so that somebody who is told of many topics costs one
//! delivery. The cost is counted while it is gathered, so that whoever gathers can end in time.

use std::mem;
use std::sync::Arc;

use super::Dispatcher;
use super::publish::Copies;
use super::sharing::Sharers;
use crate::broker::cost::{EVENT_COST, fanout_cost, forget_cost, notices_cost};
use crate::broker::memory::Use;
use crate::broker::routing::{Fanout, Recipient, Route, RouteSet, Routes, Way};
use crate::codec::{Batch, Workspace};
use crate::protocol::Topic;

/// Topics whose values are gone, and of which nobody was told yet.
#[derive(Debug, Default)]
pub(super) struct Notices {
    topics: Vec<Topic>,
    /// Where the last of them is told; where all are, as long as their ways have not parted.
    routes: Arc<[Route]>,
    set: Option<RouteSet>,
    /// Routes among these that take a copy.
    copies: usize,
    have_parted: bool,
    fanout: Fanout,
    /// Routes of the first of them. Their fan-out is no reason to gather less: it costs the same
    /// for one topic, and is counted when they are told.
    first_routes: usize,
    /// The cost of all else, and of what was told in this step.
    cost: usize,
}

impl Notices {
    /// Begins to count what a step costs.
    pub(super) fn begin_step(&mut self) {
        self.cost = 0;
    }

    /// Whether so much was forgotten and told that it is enough for one step.
    pub(super) fn are_enough(&self) -> bool {
        self.cost >= EVENT_COST
    }

    /// Whether it is cheaper to tell what was gathered than to add what goes along other routes.
    fn end_before(&self, set: RouteSet, routes: &[Route]) -> bool {
        !self.have_parted
            && self.set != Some(set)
            && self.cost + self.cost_to_part() >= EVENT_COST
            && *routes != *self.routes
    }

    /// Adds a topic that is told along these routes.
    fn add(&mut self, topic: Topic, set: RouteSet, routes: Arc<[Route]>) {
        if self.set != Some(set) {
            if !self.topics.is_empty() && routes != self.routes {
                self.part_ways();
            }
            if self.topics.is_empty() {
                self.first_routes = routes.len();
            }
            let is_copied = |route: &&Route| matches!(route.way, Way::Latest(_));
            self.copies = routes.iter().filter(is_copied).count();
            (self.routes, self.set) = (routes, Some(set));
        }
        let mut selected = 0;
        if self.have_parted {
            selected = self.routes.len();
            self.cost += fanout_cost(self.fanout.add(&self.routes, self.topics.len()));
        }
        self.cost += notices_cost(selected, self.copies, topic.as_str());
        self.topics.push(topic);
    }

    /// Says that the next topic does not go where all before it go.
    fn part_ways(&mut self) {
        if !self.have_parted {
            self.have_parted = true;
            self.cost += self.cost_to_part();
            for index in 0..self.topics.len() {
                self.fanout.add(&self.routes, index);
            }
        }
    }

    fn cost_to_part(&self) -> usize {
        notices_cost(self.topics.len() * self.routes.len(), 0, "")
    }

    /// Who is told of what was gathered; nothing is, any more.
    fn take(&mut self, mut sharers: Sharers<'_>) -> Option<(Batch, Vec<Recipient>)> {
        if self.topics.is_empty() {
            return None;
        }
        let mut batch = Batch::of_cleared(mem::take(&mut self.topics));
        let (routes, have_parted) = (mem::take(&mut self.routes), mem::take(&mut self.have_parted));
        self.set = None;
        self.cost += fanout_cost(self.first_routes);
        let routes = if have_parted { None } else { Some(&*routes) };
        let (recipients, _) = sharers.recipients(&mut self.fanout, &mut batch, routes);
        Some((batch, recipients))
    }
}

impl Dispatcher {
    /// Where it is told that the value which a topic holds is gone; `None` if nobody wants to know,
    /// or it holds none.
    pub(super) fn notice_routes(&mut self, topic: &Topic) -> Option<RouteSet> {
        if !self.subscriptions.want_cleared() {
            return None;
        }
        let id = self.tree.find(topic).filter(|id| self.tree.held(Some(*id)).is_some())?;
        Some(self.tree.route_set(Some(id), topic.name(), &self.subscriptions))
    }

    /// Notes that a topic lost the value that it held. Whoever wants to know is told
    /// [later](Self::tell_gone), before anything else is delivered.
    pub(super) fn note_gone(&mut self, topic: &Topic, told: Option<RouteSet>) {
        self.notices.cost += forget_cost(topic.as_str(), self.tree.take_search());
        let Some(set) = told else { return };
        let Routes { notices, .. } = self.tree.routes(set);
        if notices.is_empty() {
            return;
        }
        if self.notices.end_before(set, &notices) {
            self.tell_gone();
        }
        self.notices.add(topic.clone(), set, notices);
    }

    /// Tells who wants to know of all that is gone.
    pub(super) fn tell_gone(&mut self) {
        let sharers = Sharers { groups: &mut self.groups, slots: &self.slots };
        let Some((mut batch, recipients)) = self.notices.take(sharers) else { return };
        // It waits for nobody, so it takes memory whether there is some or not; then producers
        // wait, and connections that hold much let go.
        let claim = self.memory.of(Use::InFlight).account().charge(batch.weight());
        batch = batch.holding(claim, Workspace::default());
        let (batch, mut copies) = (Arc::new(batch), Copies::default());
        for recipient in recipients {
            self.deliver(&batch, &mut copies, recipient);
        }
        self.relieve();
    }
}
