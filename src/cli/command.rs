//! The commands, and with their arguments `--help`.

use clap::{Parser, Subcommand};

use super::args::{Color, Serve};

/// A message broker that translates: every producer and consumer speaks JSON, XML or pickle, each
/// its own.
#[derive(Debug, Parser)]
#[command(name = "babelmq", version = super::version::VERSION, max_term_width = 100)]
pub(super) struct Cli {
    /// When to use colours.
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub(super) color: Color,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the broker until it is told to stop (SIGINT or SIGTERM).
    Serve(Serve),
    /// Print the effective configuration of the broker, and where each value came from.
    Config(Serve),
    /// Publish a message, or the lines of a file.
    Pub(super::publish::Args),
    /// Print what is published, stored values first.
    Sub(super::subscribe::Args),
    /// Print the last value of a topic.
    Get(super::get::Args),
    /// List the topics that hold a value.
    Topics(super::topics::Args),
    /// Forget the last value of a topic.
    Clear(super::clear::Args),
    /// Add, remove and list streams, which keep every message for consumers that may miss none.
    Stream(super::stream::Args),
    /// List, look at, reset and forget the consumers of streams.
    Consumer(super::consumer::Args),
    /// List, retry and remove dead letters: messages that consumers could not do.
    Dead(super::dead::Args),
    /// Check and make what brokers share topics by: streams of NATS JetStream.
    Backbone(super::backbone::Args),
    /// Say whether a broker answers: for monitoring.
    Check(super::check::Args),
    /// Watch a broker: topics by rate, subscribers, connections, memory.
    Top(super::top::Args),
    /// Measure a broker: throughput, and how long messages take.
    Bench(super::bench::Args),
    /// Translate a file without a broker; safe on a pickle from a stranger.
    Convert(super::convert::Args),
    /// Make the certificates that TLS takes: of a private authority, of a broker, of clients.
    Certs(super::certs::Args),
    /// Print the entry of a user for a users file, with the hash of a password or of a new token.
    Passwd(super::passwd::Args),
    /// Say whether a users file allows a user something, and which rule decides; exit code 1 if
    /// not.
    Allowed(super::allowed::Args),
    /// Copy the values of a running broker to another directory, as they are at this moment.
    Backup(super::backup::Args),
    /// Print the values in a data directory, one JSON object a line, while no broker has it open.
    Export(super::archive::Export),
    /// Write values as `export` prints them to a data directory, all of them or none.
    Import(super::archive::Import),
    /// Make the file of a data directory as short as it can be, while no broker has it open.
    Compact(super::archive::Compact),
    /// Print what a shell needs to complete these commands.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, for man.
    Manual,
}
