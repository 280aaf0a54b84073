//! The topics in a subtree.

use super::NOBODY;
use super::ROOT;
use super::Stored;
use super::Tree;
use crate::broker::rights::Scope;
use crate::protocol::{Topic, TopicFilter};

impl Tree {
    /// The stored values of some topics, in the order in which they were published; `None` if
    /// finding them means looking at more than `most` topics, or if they have more than
    /// `most_bytes`.
    pub(in crate::broker) fn snapshot(
        &self,
        scope: &Scope,
        most: usize,
        most_bytes: usize,
    ) -> Option<Vec<Stored>> {
        let (mut values, mut bytes) = (Vec::new(), 0);
        self.walk(scope.filter(), most, |stored| {
            if !scope.allows(stored.topic()) {
                return;
            }
            bytes += stored.weight();
            // A value that is too much is not shared for a moment either.
            if bytes <= most_bytes {
                values.push(stored.clone());
            }
        })?;
        values.sort_unstable_by_key(|stored| stored.published());
        (bytes <= most_bytes).then_some(values)
    }

    /// Those of some topics that hold a value, sorted; `None` as for [`snapshot`](Self::snapshot).
    pub(in crate::broker) fn topics(&self, scope: &Scope, most: usize) -> Option<Vec<Topic>> {
        let mut topics = Vec::new();
        self.walk(scope.filter(), most, |stored| {
            if scope.allows(stored.topic()) {
                topics.push(stored.topic().to_topic());
            }
        })?;
        topics.sort_unstable();
        Some(topics)
    }

    fn walk(
        &self,
        filter: &TopicFilter,
        most: usize,
        mut visit: impl FnMut(&Stored),
    ) -> Option<()> {
        // The tops of the subtrees that the filter names: one, unless there is a wildcard.
        let mut tops = vec![ROOT.0];
        for segment in filter.segments() {
            let mut below = Vec::new();
            for top in tops {
                if segment == "+" {
                    below.extend(self.children(top).take(most));
                } else {
                    let name = match &self.nodes[top].stored {
                        Some(above) => format!("{}/{segment}", above.topic()),
                        None => segment.to_owned(),
                    };
                    below.extend(self.named(&name, self.names.hash(&name)).map(|id| id.0));
                }
                if below.len() >= most {
                    return None;
                }
            }
            tops = below;
        }
        let below = filter.reaches_below();
        let mut looked_at = 0;
        while let Some(top) = tops.pop() {
            looked_at += 1;
            if looked_at + tops.len() > most {
                return None;
            }
            if let Some(stored) = self.nodes[top].held() {
                visit(stored);
            }
            if below {
                tops.extend(self.children(top).take(most));
            }
        }
        Some(())
    }

    /// The topics right below another that a wildcard stands for. Those of the broker's own are
    /// left out: they are all below the root.
    fn children(&self, of: u32) -> impl Iterator<Item = u32> {
        let mut next = self.nodes[of].first_child;
        let all = std::iter::from_fn(move || {
            let child = (next != NOBODY).then_some(next)?;
            next = self.nodes[child].next_sibling;
            Some(child)
        });
        let is_brokers = move |child: &u32| {
            let stored = self.nodes[*child].stored.as_ref();
            of == ROOT.0 && stored.is_some_and(|stored| stored.topic().is_brokers())
        };
        all.filter(move |child| !is_brokers(child))
    }
}
