//! What was measured.

use std::collections::BTreeMap;

use crate::systems::System;
use crate::workloads::{Better, Goal, Row};

/// The figures of each round, for each metric of each workload and each system.
#[derive(Debug, Default)]
pub(crate) struct Results {
    figures: BTreeMap<(&'static str, &'static str, System), Vec<Option<f64>>>,
    /// Why a system has no figure for a workload.
    pub(crate) failures: BTreeMap<(&'static str, System), String>,
    rounds: usize,
}

impl Results {
    pub(crate) fn new(rounds: usize) -> Results {
        Results { rounds, ..Results::default() }
    }

    pub(crate) fn add(
        &mut self,
        workload: &'static str,
        metric: &'static str,
        system: System,
        round: usize,
        figure: f64,
    ) {
        let figures = self.figures.entry((workload, metric, system));
        figures.or_insert_with(|| vec![None; self.rounds])[round] = Some(figure);
    }

    pub(crate) fn of(
        &self,
        workload: &'static str,
        metric: &'static str,
        system: System,
    ) -> &[Option<f64>] {
        self.figures.get(&(workload, metric, system)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn median(
        &self,
        workload: &'static str,
        metric: &'static str,
        system: System,
    ) -> Option<f64> {
        median(self.of(workload, metric, system).iter().flatten().copied())
    }

    /// The median over the rounds of how many times the one system's figure is the other's: what
    /// slows the machine down for a while slows both down.
    pub(crate) fn ratio(
        &self,
        workload: &'static str,
        metric: &'static str,
        system: System,
        other: System,
    ) -> Option<f64> {
        let pairs = self.of(workload, metric, system).iter().zip(self.of(workload, metric, other));
        median(pairs.filter_map(|(mine, theirs)| {
            Some((*mine)? / (*theirs).filter(|figure| *figure > 0.0)?)
        }))
    }

    /// Whether babelmq reaches a goal, if that can be told.
    pub(crate) fn is_met(&self, workload: &'static str, row: &Row, goal: Goal) -> Option<bool> {
        let (figure, bound) = match goal {
            Goal::Times(times, other) => {
                (self.ratio(workload, row.metric, System::Babelmq, other)?, times)
            }
            Goal::Bound(bound) => (self.median(workload, row.metric, System::Babelmq)?, bound),
        };
        Some(match row.better {
            Better::More => figure >= bound,
            Better::Less => figure <= bound,
        })
    }
}

/// The one in the middle.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let upper = *figures.get(middle)?;
    Some(if figures.len() % 2 == 1 { upper } else { (figures[middle - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0].into_iter()), Some(2.5));
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let mut results = Results::new(3);
        for (round, (mine, theirs)) in
            [(2.0, 1.0), (20.0, 10.0), (9.0, 3.0)].into_iter().enumerate()
        {
            results.add("w", "m", System::Babelmq, round, mine);
            results.add("w", "m", System::Nats, round, theirs);
        }
        assert_eq!(results.ratio("w", "m", System::Babelmq, System::Nats), Some(2.0));
        assert_eq!(results.ratio("w", "m", System::Babelmq, System::Relay), None);
    }
}
