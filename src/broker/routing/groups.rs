//! Groups of connections that share a subscription: each message goes to one of them.
//!
//! To the tables of routes a group is one subscriber, with a slot of its own; what comes there is
//! given to the members in turn. So a topic that no group shares costs what it did without groups,
//! and connections that join and leave change no routes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::access::Grant;
use crate::broker::client_id::Slot;
use crate::broker::delivery::Chosen;
use crate::codec::Dialect;
use crate::protocol::{TopicFilter, TopicName};

/// Members that are asked for room for a message, where those whose turn it is have none.
const TRIES: usize = 16;

/// Members for which a group may keep room though it has none.
const ROOMY: usize = 64;

/// The charge is for the members that there are, and not for what there were at some time.
fn give_room_back<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > ROOMY && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}

/// All groups.
#[derive(Debug, Default)]
pub(in crate::broker) struct Groups {
    by_name: HashMap<Arc<str>, Slot>,
    by_slot: HashMap<Slot, Group>,
    members: usize,
}

/// A group; never one without members.
#[derive(Debug)]
struct Group {
    name: Arc<str>,
    filter: TopicFilter,
    parts: Vec<Part>,
    places: HashMap<Slot, Place>,
    /// How many messages it was given, about: who is next.
    turn: usize,
}

/// The members who may see the same topics; never none.
#[derive(Debug)]
struct Part {
    /// What they may see, where that is not all that the filter matches.
    limit: Option<Grant>,
    here: Vec<Member>,
    /// Those whose clients are away. They get what nobody else can take.
    away: Vec<Member>,
}

/// Where a member is.
#[derive(Clone, Copy, Debug)]
struct Place {
    part: PartKey,
    is_away: bool,
    index: usize,
}

/// A part of a group: the address of its grant.
type PartKey = Option<usize>;

/// A connection in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Member {
    pub(in crate::broker) slot: Slot,
    pub(in crate::broker) dialect: Dialect,
    /// What its messages say.
    pub(in crate::broker) chosen: Arc<Chosen>,
}

/// The messages that a member gets, by their places in the batch.
#[derive(Debug)]
pub(in crate::broker) struct Given {
    pub(in crate::broker) member: Member,
    pub(in crate::broker) messages: Vec<u32>,
}

impl Groups {
    /// Whether there is none.
    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.by_slot.is_empty()
    }

    /// How many there are.
    pub(in crate::broker) fn len(&self) -> usize {
        self.by_slot.len()
    }

    /// How many members they have together.
    pub(in crate::broker) fn members(&self) -> usize {
        self.members
    }

    /// The group of this name.
    pub(in crate::broker) fn find(&self, name: &str) -> Option<Slot> {
        self.by_name.get(name).copied()
    }

    /// The name of a group.
    pub(in crate::broker) fn name(&self, group: Slot) -> Option<&Arc<str>> {
        self.by_slot.get(&group).map(|group| &group.name)
    }

    /// Adds a member, who may see what its limit lets it, to the group with this slot, which is new
    /// where there is none yet. One that is a member already takes its own place.
    pub(in crate::broker) fn join(
        &mut self,
        group: Slot,
        (name, filter): (&Arc<str>, &TopicFilter),
        member: Member,
        limit: Option<Grant>,
    ) {
        let group = self.by_slot.entry(group).or_insert_with(|| {
            self.by_name.insert(name.clone(), group);
            Group {
                name: name.clone(),
                filter: filter.clone(),
                parts: Vec::new(),
                places: HashMap::new(),
                turn: 0,
            }
        });
        if group.take(member.slot).is_none() {
            self.members += 1;
        }
        group.put(member, limit, false);
    }

    /// Removes a member. Returns the filter of the group where that was the last, and the group is
    /// gone.
    pub(in crate::broker) fn quit(&mut self, at: Slot, member: Slot) -> Option<TopicFilter> {
        let group = self.by_slot.get_mut(&at)?;
        group.take(member)?;
        self.members -= 1;
        if !group.places.is_empty() {
            return None;
        }
        let Group { name, filter, .. } = self.by_slot.remove(&at)?;
        self.by_name.remove(&name);
        give_room_back(&mut self.by_name);
        give_room_back(&mut self.by_slot);
        Some(filter)
    }

    /// Says what a member may see of what the group's filter matches.
    pub(in crate::broker) fn limit(&mut self, group: Slot, member: Slot, limit: Option<Grant>) {
        let Some(group) = self.by_slot.get_mut(&group) else { return };
        if let Some((member, _, is_away)) = group.take(member) {
            group.put(member, limit, is_away);
        }
    }

    /// Says whether a member's client is away.
    pub(in crate::broker) fn set_away(&mut self, group: Slot, member: Slot, is_away: bool) {
        let Some(group) = self.by_slot.get_mut(&group) else { return };
        if let Some((member, limit, _)) = group.take(member) {
            group.put(member, limit, is_away);
        }
    }

    /// The members of a group who may see a topic.
    pub(in crate::broker) fn members_for(
        &self,
        group: Slot,
        topic: TopicName<'_>,
    ) -> impl Iterator<Item = &Member> {
        let parts = self.by_slot.get(&group).map(|group| &group.parts).into_iter().flatten();
        parts
            .filter(move |part| part.sees(topic))
            .flat_map(|part| part.here.iter().chain(&part.away))
    }

    /// Gives messages of a batch to the members of a group, each to one of those who may see its
    /// topic. Members who are there take turns; one that has no room is passed over where another
    /// is soon found that has, and where room is needed, all who have none. What no member may see
    /// goes to nobody.
    pub(in crate::broker) fn divide<'a>(
        &mut self,
        group: Slot,
        messages: impl Iterator<Item = (u32, TopicName<'a>)>,
        has_room: impl Fn(Slot) -> bool,
        needs_room: bool,
    ) -> Vec<Given> {
        let Some(Group { parts, turn, .. }) = self.by_slot.get_mut(&group) else {
            return Vec::new();
        };
        let is_limited = parts.iter().any(|part| part.limit.is_some());
        let mut given: Vec<Given> = Vec::new();
        let mut places: FxHashMap<Slot, usize> = FxHashMap::default();
        let mut circle: Option<(TopicName<'_>, Circle<'_>)> = None;
        for (index, topic) in messages {
            let circle = match &mut circle {
                Some((last, circle)) if !is_limited || *last == topic => circle,
                other => &mut other.insert((topic, Circle::of(parts, topic))).1,
            };
            let Some(member) = circle.choose(turn, &has_room, needs_room) else { continue };
            let place = *places.entry(member.slot).or_insert_with(|| {
                given.push(Given { member: member.clone(), messages: Vec::new() });
                given.len() - 1
            });
            given[place].messages.push(index);
        }
        given
    }
}

impl Group {
    /// Takes a member out.
    fn take(&mut self, slot: Slot) -> Option<(Member, Option<Grant>, bool)> {
        let Place { part: key, is_away, index } = self.places.remove(&slot)?;
        give_room_back(&mut self.places);
        let at = self.parts.iter().position(|part| part.key() == key)?;
        let part = &mut self.parts[at];
        let members = part.members_mut(is_away);
        let member = members.swap_remove(index);
        if let Some(moved) = members.get(index)
            && let Some(place) = self.places.get_mut(&moved.slot)
        {
            place.index = index;
        }
        if members.capacity() > ROOMY && members.len() < members.capacity() / 8 {
            members.shrink_to(members.len() * 2);
        }
        let limit = part.limit.clone();
        if part.here.is_empty() && part.away.is_empty() {
            self.parts.swap_remove(at);
        }
        Some((member, limit, is_away))
    }

    fn put(&mut self, member: Member, limit: Option<Grant>, is_away: bool) {
        let key = limit.as_ref().map(Grant::address);
        let at = self.parts.iter().position(|part| part.key() == key).unwrap_or_else(|| {
            self.parts.push(Part { limit, here: Vec::new(), away: Vec::new() });
            self.parts.len() - 1
        });
        let members = self.parts[at].members_mut(is_away);
        self.places.insert(member.slot, Place { part: key, is_away, index: members.len() });
        members.push(member);
    }
}

impl Part {
    fn key(&self) -> PartKey {
        self.limit.as_ref().map(Grant::address)
    }

    fn members(&self, are_away: bool) -> &[Member] {
        if are_away { &self.away } else { &self.here }
    }

    fn members_mut(&mut self, are_away: bool) -> &mut Vec<Member> {
        if are_away { &mut self.away } else { &mut self.here }
    }

    fn sees(&self, topic: TopicName<'_>) -> bool {
        self.limit.as_ref().is_none_or(|grant| grant.may_see(topic))
    }
}

/// The members who take turns with the messages of a topic.
struct Circle<'a> {
    parts: Vec<&'a [Member]>,
    members: usize,
}

impl<'a> Circle<'a> {
    /// Those who may see it and are there, or where there is none, those who are away.
    fn of(parts: &'a [Part], topic: TopicName<'_>) -> Circle<'a> {
        let seeing: Vec<&Part> = parts.iter().filter(|part| part.sees(topic)).collect();
        let are_away = seeing.iter().all(|part| part.here.is_empty());
        let parts: Vec<&[Member]> = seeing.iter().map(|part| part.members(are_away)).collect();
        let members = parts.iter().map(|part| part.len()).sum();
        Circle { parts, members }
    }

    /// The member whose turn it is, or the next that has room; it is the next one's turn then.
    fn choose(
        &self,
        turn: &mut usize,
        has_room: impl Fn(Slot) -> bool,
        needs_room: bool,
    ) -> Option<&'a Member> {
        if self.members == 0 {
            return None;
        }
        let first = *turn;
        *turn = first.wrapping_add(1);
        for at in (0..TRIES.min(self.members)).map(|step| first.wrapping_add(step)) {
            if let Some(member) = self.member(at).filter(|member| has_room(member.slot)) {
                *turn = at.wrapping_add(1);
                return Some(member);
            }
        }
        if needs_room { None } else { self.member(first) }
    }

    fn member(&self, turn: usize) -> Option<&'a Member> {
        let mut at = turn % self.members;
        for part in &self.parts {
            match part.get(at) {
                Some(member) => return Some(member),
                None => at -= part.len(),
            }
        }
        None
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests;
