//! A backbone in the process of the tests: brokers that are started with clones of it share topics.
//! It has no servers, and does what it is told: goes away, comes back, keeps its word to itself.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use babelmq::broker::{
    Arrived, BESIDE_FOLLOWED, Backbone, BackboneLine, FromBackbone, HowSettled, Incoming,
    JoinShared, JoinedShared, Outgoing, Room, SharedConsumer, SharedContent, SharedMessage,
    SharedPlan, SharedReport, StoreError, ToBackbone,
};
use babelmq::{Start, Topic, TopicFilter};
use crossbeam_channel::Sender;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct LocalBackbone(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    epoch: Arc<str>,
    messages: Vec<Incoming>,
    ids: HashSet<Box<str>>,
    lines: Vec<LineState>,
    consumers: BTreeMap<String, Consumer>,
    followers: Vec<Follower>,
    is_down: bool,
    /// Whether what is published is kept and not confirmed.
    is_mute: bool,
    max_payload: usize,
    refuses: Option<String>,
}

impl Default for State {
    fn default() -> State {
        State {
            epoch: "first".into(),
            messages: Vec::new(),
            ids: HashSet::new(),
            lines: Vec::new(),
            consumers: BTreeMap::new(),
            followers: Vec::new(),
            is_down: false,
            is_mute: false,
            max_payload: 1 << 20,
            refuses: None,
        }
    }
}

#[derive(Debug)]
struct LineState {
    filter: TopicFilter,
    said: Sender<FromBackbone>,
    /// What waits for the backbone to come back.
    waiting: VecDeque<ToBackbone>,
    /// The last message that was told.
    told: u64,
    is_open: bool,
}

#[derive(Debug)]
struct Consumer {
    filter: TopicFilter,
    next: u64,
    again: BTreeMap<u64, u32>,
    members: Vec<Member>,
    settled: u64,
}

#[derive(Debug)]
struct Member {
    line: usize,
    id: u64,
    window: usize,
    has: HashMap<u64, u32>,
}

/// One that follows.
#[derive(Debug)]
struct Follower {
    line: usize,
    wanted: JoinShared,
    next: u64,
    /// What `start: last` has chosen, ascending.
    chosen: VecDeque<u64>,
    has: HashMap<u64, usize>,
}

impl LocalBackbone {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Takes it away from all brokers.
    pub fn go_down(&self) {
        let mut state = self.state();
        state.is_down = true;
        for line in &state.lines {
            let _ = line.said.send(FromBackbone::Unavailable { reason: "it is down".into() });
        }
    }

    /// Brings it back.
    pub fn come_up(&self) {
        let mut state = self.state();
        state.is_down = false;
        for line in 0..state.lines.len() {
            state.connect(line);
        }
        for line in 0..state.lines.len() {
            for what in std::mem::take(&mut state.lines[line].waiting) {
                state.take(line, what);
            }
        }
        state.deliver();
    }

    /// Confirms nothing of what it takes from now on, or all.
    pub fn be_mute(&self, is_mute: bool) {
        self.state().is_mute = is_mute;
    }

    /// Refuses everything from now on, for this reason.
    pub fn refuse(&self, reason: Option<&str>) {
        self.state().refuses = reason.map(str::to_owned);
    }

    /// Is another one from now on, that has no messages.
    pub fn begin_anew(&self) {
        let mut state = self.state();
        state.epoch = "second".into();
        state.messages.clear();
        state.lines.iter_mut().for_each(|line| line.told = 0);
        for follower in &mut state.followers {
            follower.next = 1;
            follower.chosen.clear();
        }
    }

    /// How many follow, and bytes of what they have and have not settled.
    pub fn followers(&self) -> (usize, usize) {
        let state = self.state();
        let bytes = state.followers.iter().flat_map(|it| it.has.values()).sum();
        (state.followers.len(), bytes)
    }

    /// Tells all brokers once more of everything, as one that has lost its place may.
    pub fn repeat(&self) {
        let mut state = self.state();
        state.lines.iter_mut().for_each(|line| line.told = 0);
        state.deliver();
    }

    /// Takes so many bytes at most.
    pub fn take_at_most(&self, bytes: usize) {
        self.state().max_payload = bytes;
    }

    /// Publishes a message that no broker did.
    pub fn publish(&self, message: SharedMessage) {
        let mut state = self.state();
        state.append(message, None);
        state.deliver();
    }

    /// All messages.
    pub fn messages(&self) -> Vec<Incoming> {
        self.state().messages.clone()
    }
}

impl State {
    fn connect(&mut self, line: usize) {
        let max_payload = self.max_payload;
        let _ = self.lines[line].said.send(FromBackbone::Connected { max_payload });
    }

    fn append(&mut self, message: SharedMessage, id: Option<Box<str>>) {
        if id.as_ref().is_some_and(|id| !self.ids.insert(id.clone())) {
            return;
        }
        let (seq, time) = (self.messages.len() as u64 + 1, babelmq::broker::wall_clock());
        self.messages.push(Incoming { seq, time, id, message });
    }

    fn take(&mut self, line: usize, what: ToBackbone) {
        if self.is_down {
            self.lines[line].waiting.push_back(what);
            return;
        }
        match what {
            ToBackbone::Publish(messages) => {
                let said = self.lines[line].said.clone();
                for Outgoing { number, id, message } in messages {
                    if let Some(reason) = self.refuses.clone() {
                        let _ = said.send(FromBackbone::Refused { number, reason });
                        continue;
                    }
                    self.append(message, id);
                    if !self.is_mute {
                        let _ = said.send(FromBackbone::Stored { numbers: vec![number] });
                    }
                }
            }
            ToBackbone::Join(join) => self.join(line, *join),
            ToBackbone::Leave { member } => {
                self.followers.retain(|it| (it.line, it.wanted.member) != (line, member));
                for consumer in self.consumers.values_mut() {
                    for gone in
                        consumer.members.extract_if(.., |it| (it.line, it.id) == (line, member))
                    {
                        consumer.again.extend(gone.has);
                    }
                }
            }
            ToBackbone::Settle { member, seq, how, op } => {
                let is_it = |it: &&mut Follower| (it.line, it.wanted.member) == (line, member);
                if let Some(follower) = self.followers.iter_mut().find(is_it) {
                    follower.has.remove(&seq);
                }
                for consumer in self.consumers.values_mut() {
                    let Some(member) =
                        consumer.members.iter_mut().find(|it| (it.line, it.id) == (line, member))
                    else {
                        continue;
                    };
                    if how == HowSettled::Touch {
                        continue;
                    }
                    let Some(attempt) = member.has.remove(&seq) else { continue };
                    if matches!(how, HowSettled::Nak(_)) {
                        consumer.again.insert(seq, attempt);
                    } else {
                        consumer.settled += 1;
                    }
                }
                let _ = self.lines[line].said.send(FromBackbone::Settled { op });
            }
            ToBackbone::Remove { consumer, op } => {
                let removed = Ok(self.consumers.remove(&*consumer).is_some());
                let _ = self.lines[line].said.send(FromBackbone::Removed { op, removed });
            }
            ToBackbone::Report { op } => {
                let report = self.report();
                let _ = self.lines[line].said.send(FromBackbone::Report { op, report });
            }
        }
    }

    fn join(&mut self, line: usize, join: JoinShared) {
        if join.consumer.is_none() {
            return self.follow(line, join);
        }
        let JoinShared { member, consumer, filter, start, window, .. } = join;
        let consumer = consumer.unwrap();
        let next = match start {
            Start::All => 1,
            Start::Seq(seq) => seq,
            _ => self.messages.len() as u64 + 1,
        };
        let new = Consumer {
            filter: filter.clone(),
            next,
            again: BTreeMap::new(),
            members: Vec::new(),
            settled: 0,
        };
        let entry = self.consumers.entry(consumer.to_string()).or_insert(new);
        let said = self.lines[line].said.clone();
        if entry.filter != filter {
            let joined = Err(format!("the consumer {consumer} reads {}", entry.filter));
            let _ = said.send(FromBackbone::Joined { member, joined });
            return;
        }
        let has = HashMap::new();
        entry.members.push(Member { line, id: member, window: window as usize, has });
        let (pending, next) = (self.messages.len() as u64 + 1 - entry.next, entry.next);
        let joined = Ok(JoinedShared { pending, next });
        let _ = said.send(FromBackbone::Joined { member, joined });
    }

    fn follow(&mut self, line: usize, wanted: JoinShared) {
        let end = self.messages.len() as u64 + 1;
        let matching =
            || self.messages.iter().filter(|it| wanted.filter.matches(&it.message.topic));
        let mut chosen = VecDeque::new();
        let next = match wanted.start {
            Start::New => end,
            Start::All => 1,
            Start::Seq(seq) => seq.clamp(1, end),
            Start::Time(time) => matching().find(|it| it.time >= time).map_or(end, |it| it.seq),
            Start::Last => {
                let last: BTreeMap<_, _> =
                    matching().map(|it| (it.message.topic.clone(), it.seq)).collect();
                chosen.extend(last.into_values());
                chosen.make_contiguous().sort_unstable();
                end
            }
        };
        let pending = chosen.len() + matching().filter(|it| it.seq >= next).count();
        let joined =
            JoinedShared { pending: pending as u64, next: chosen.front().copied().unwrap_or(next) };
        let (member, joined) = (wanted.member, Ok(joined));
        let _ = self.lines[line].said.send(FromBackbone::Joined { member, joined });
        self.followers.push(Follower { line, wanted, next, chosen, has: HashMap::new() });
    }

    fn report(&self) -> SharedReport {
        let consumer = |(name, consumer): (&String, &Consumer)| SharedConsumer {
            name: name.clone(),
            filter: Some(consumer.filter.clone()),
            floor: 0,
            delivered: consumer.next - 1,
            outstanding: consumer.members.iter().map(|it| it.has.len() as u64).sum(),
            pending: self.messages.len() as u64 + 1 - consumer.next,
            redelivered: 0,
            ack_wait: std::time::Duration::from_secs(30),
        };
        SharedReport {
            messages: self.messages.len() as u64,
            bytes: 0,
            first: 1,
            next: self.messages.len() as u64 + 1,
            consumers: self.consumers.iter().map(consumer).collect(),
        }
    }

    /// Tells all lines what they do not know, and gives members what they may have.
    fn deliver(&mut self) {
        if self.is_down {
            return;
        }
        let (last, epoch) = (self.messages.len() as u64, self.epoch.clone());
        for line in self.lines.iter_mut().filter(|line| line.is_open) {
            let unknown = &self.messages[line.told as usize..];
            let messages: Vec<Incoming> = unknown
                .iter()
                .filter(|it| line.filter.matches(&it.message.topic))
                .cloned()
                .collect();
            line.told = last;
            if !messages.is_empty() {
                let (epoch, room) = (epoch.clone(), Room::default());
                let arrived = Arrived { epoch, messages, last, room };
                let _ = line.said.send(FromBackbone::Arrived(arrived));
            }
        }
        for consumer in self.consumers.values_mut() {
            consumer.deliver(&self.messages, &self.lines);
        }
        for follower in &mut self.followers {
            follower.deliver(&self.messages, &self.lines);
        }
    }
}

impl Follower {
    fn deliver(&mut self, messages: &[Incoming], lines: &[LineState]) {
        let JoinShared { member, bytes, filter, .. } = &self.wanted;
        while self.has.values().sum::<usize>() < *bytes {
            let matches = |it: &&Incoming| it.seq >= self.next && filter.matches(&it.message.topic);
            let chosen = self.chosen.pop_front().map(|seq| &messages[seq as usize - 1]);
            let live = || messages.iter().skip(self.next as usize - 1).find(matches);
            let Some(found) = chosen.or_else(live) else { return };
            if chosen.is_none() {
                self.next = found.seq + 1;
            }
            let payload = match &found.message.content {
                SharedContent::Payload(payload) => payload.bytes.len(),
                SharedContent::Cleared => 0,
            };
            self.has.insert(found.seq, payload + BESIDE_FOLLOWED);
            let messages = vec![(1, found.clone())];
            let delivered = FromBackbone::Delivered { member: *member, messages };
            let _ = lines[self.line].said.send(delivered);
        }
    }
}

impl Consumer {
    fn deliver(&mut self, messages: &[Incoming], lines: &[LineState]) {
        loop {
            let Some(member) = self
                .members
                .iter_mut()
                .filter(|member| member.has.len() < member.window)
                .min_by_key(|member| member.has.len())
            else {
                return;
            };
            let (seq, attempt) = match self.again.pop_first() {
                Some((seq, attempt)) => (seq, attempt + 1),
                None => {
                    let matches = |it: &&Incoming| {
                        it.seq >= self.next && self.filter.matches(&it.message.topic)
                    };
                    let Some(found) = messages.iter().find(matches) else { return };
                    self.next = found.seq + 1;
                    (found.seq, 1)
                }
            };
            member.has.insert(seq, attempt);
            let message = messages[seq as usize - 1].clone();
            let messages = vec![(attempt, message)];
            let delivered = FromBackbone::Delivered { member: member.id, messages };
            let _ = lines[member.line].said.send(delivered);
        }
    }
}

impl Backbone for LocalBackbone {
    fn open(
        &mut self,
        plan: SharedPlan,
        said: Sender<FromBackbone>,
    ) -> Result<Box<dyn BackboneLine>, StoreError> {
        let mut state = self.state();
        let SharedPlan { topics, position } = plan;
        let known = position.filter(|position| *position.epoch == *state.epoch);
        let told = known.map_or(state.messages.len() as u64, |position| position.seq);
        let line = state.lines.len();
        state.lines.push(LineState {
            filter: topics.filter.clone(),
            said: said.clone(),
            waiting: VecDeque::new(),
            told,
            is_open: true,
        });
        if state.is_down {
            let _ = said.send(FromBackbone::Unavailable { reason: "it is down".into() });
        } else {
            state.connect(line);
        }
        if told == state.messages.len() as u64 {
            // Each topic's last message, for one that knows nothing.
            let mut of_topics: BTreeMap<&Topic, &Incoming> = BTreeMap::new();
            for message in &state.messages {
                if topics.filter.matches(&message.message.topic) {
                    of_topics.insert(&message.message.topic, message);
                }
            }
            let mut messages: Vec<Incoming> = of_topics.into_values().cloned().collect();
            messages.sort_by_key(|message| message.seq);
            let (epoch, last) = (state.epoch.clone(), told);
            let arrived = Arrived { epoch, messages, last, room: Room::default() };
            let _ = said.send(FromBackbone::Arrived(arrived));
        }
        state.deliver();
        Ok(Box::new(Line { line, backbone: self.clone() }))
    }
}

#[derive(Debug)]
struct Line {
    line: usize,
    backbone: LocalBackbone,
}

impl BackboneLine for Line {
    fn send(&self, what: ToBackbone) {
        let mut state = self.backbone.state();
        state.take(self.line, what);
        state.deliver();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut state = self.backbone.state();
        state.lines[self.line].is_open = false;
        state.followers.retain(|it| it.line != self.line);
        for consumer in state.consumers.values_mut() {
            for gone in consumer.members.extract_if(.., |member| member.line == self.line) {
                consumer.again.extend(gone.has);
            }
        }
        state.deliver();
    }
}
