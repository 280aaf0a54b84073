//! A model, tried in many orders: at random, and by PCT, which lets one thread run for long and
//! changes at few places.
//!
//! MODEL_ITERATIONS is the number of schedules of each kind, MODEL_SEED repeats a run.

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::BuildHasher;
use std::time::Instant;

use shuttle::Runner;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};

/// Schedules of each kind that a model is tried on, unless MODEL_ITERATIONS says otherwise: one of
/// a few threads, and one of a whole broker.
const SCHEDULES: usize = 10_000;
const SCHEDULES_OF_A_BROKER: usize = 2_500;
/// Changes of threads at the worst moment that PCT looks for.
const DEPTH: usize = 3;
/// Bytes of stack for each thread of a model.
const STACK: usize = 256 << 10;

/// Tries a model of a few threads.
pub(crate) fn explore(name: &str, model: fn()) {
    explore_so_often(name, SCHEDULES, model);
}

/// The same with a model of a whole broker, of which each schedule takes long.
pub(crate) fn explore_broker(name: &str, model: fn()) {
    explore_so_often(name, SCHEDULES_OF_A_BROKER, model);
}

fn explore_so_often(name: &str, schedules: usize, model: fn()) {
    let schedules = number("MODEL_ITERATIONS").map_or(schedules, |number| number as usize);
    let seed = number("MODEL_SEED").unwrap_or_else(|| RandomState::new().hash_one(name));
    eprintln!("{name}: MODEL_SEED={seed}");
    let begun = Instant::now();
    run(RandomScheduler::new_from_seed(seed, schedules), model);
    run(PctScheduler::new_from_seed(seed, DEPTH, schedules), model);
    eprintln!("{name}: {} schedules in {:.1} s", 2 * schedules, begun.elapsed().as_secs_f64());
}

fn run(scheduler: impl Scheduler + 'static, model: fn()) {
    let mut config = shuttle::Config::new();
    config.stack_size = STACK;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(model);
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number")))
}
