//! babelmq beside its peers, on this machine, driven by one load generator. `make bench-peers` runs
//! all of it.

mod attack;
mod backbone;
mod direction;
mod host;
mod kept;
mod load;
mod log;
mod net;
mod payload;
mod pickle;
mod relay;
mod report;
mod results;
mod run;
mod store;
mod stream;
mod systems;
mod tls;
mod translate;
mod web;
mod window;
mod wire;
mod workloads;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "bench", about = "babelmq beside its peers")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure babelmq, its peers, a bare relay and a CPython translator.
    Peers(run::Peers),
    /// Measure babelmq that keeps its last values on a disk beside babelmq that does not.
    Store(store::Store),
    /// Append to the log of a stream, read it and drop from its front: babelmq's beside redb and
    /// fjall.
    Log(log::Log),
    /// Measure brokers that share topics by NATS JetStream beside clients of JetStream itself.
    Backbone(backbone::Backbone),
    /// Translate streams of messages in a loop, without sockets: babelmq's codec beside CPython.
    Translate(translate::Translate),
    /// Attack babelmq beside a bystander, and say what it noticed.
    Attack(attack::Attack),
    /// Name the workloads.
    List,
    /// Copy bytes from one socket to others: what the benchmark compares with.
    #[command(hide = true)]
    Relay,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Peers(peers) => peers.run(),
        Command::Store(store) => store.run(),
        Command::Log(log) => log.run(),
        Command::Backbone(backbone) => backbone.run(),
        Command::Translate(translate) => translate.run(),
        Command::Attack(attack) => attack.run(),
        Command::List => {
            run::list();
            Ok(())
        }
        Command::Relay => relay::serve(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
