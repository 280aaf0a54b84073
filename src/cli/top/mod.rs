//! `babelmq top`: a live view of a broker.

mod cells;
mod screen;
mod stats;
mod streams;

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use self::screen::Screen;
use self::stats::{Rates, Stats};
use self::streams::{Kept, Streams};
use super::address::{Address, Broker};
use super::args::seconds;
use super::failure::{Failure, is_outage};
use super::pretty;
use crate::middleware::{Backoff, Client, QueueError};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How often to ask the broker.
    #[arg(long, short, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// Print what the broker counts, once, as JSON.
    #[arg(long)]
    json: bool,
    /// End with the connection (exit code 7), and do not wait until the broker is there again.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    broker: Address,
}

/// What is done with a key.
enum Wish {
    Quit,
    Pause,
    Nothing,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let on_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    if !args.json && !on_terminal {
        return Err(Failure::Usage("top is for a terminal; --json prints the numbers once".into()));
    }
    let broker = args.broker.broker()?;
    let failed = broker.failed();
    let mut client = broker.connect().map_err(&failed)?;
    // Before the screen is taken: an error is better read without one.
    let message = client.stats().map_err(&failed)?;
    if args.json {
        let text = String::from_utf8_lossy(message.bytes());
        return Ok(writeln!(io::stdout(), "{}", pretty::data(&text))?);
    }
    let first = Stats::read(&message).map_err(&failed)?;
    let kept = Kept::ask(&mut client).map_err(&failed)?;
    let mut terminal = ratatui::try_init()?;
    let watched = watch(args, &broker, client, (first, kept), &mut terminal);
    ratatui::restore();
    match watched {
        Err(Stopped::Broker(error)) => Err(failed(error)),
        Err(Stopped::Terminal(error)) => Err(error.into()),
        Ok(()) => Ok(()),
    }
}

/// Why watching ended.
enum Stopped {
    Broker(QueueError),
    Terminal(io::Error),
}

impl From<QueueError> for Stopped {
    fn from(error: QueueError) -> Stopped {
        Stopped::Broker(error)
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        Stopped::Terminal(error)
    }
}

/// Shows the broker until that is enough. One that goes away is waited for, as `sub` does.
fn watch(
    args: &Args,
    broker: &Broker,
    client: Client,
    (first, kept): (Stats, Kept),
    terminal: &mut ratatui::DefaultTerminal,
) -> Result<(), Stopped> {
    let (mut rates, mut streams) = (Rates::new(first), Streams::new(kept));
    let mut paused = false;
    let mut client = Some(client);
    let mut since = Instant::now();
    let mut backoff = Backoff::new();
    loop {
        let address = &broker.address;
        let is_away = client.is_none();
        let screen = Screen { address, rates: &rates, streams: &streams, paused, is_away };
        terminal.draw(|frame| screen.draw(frame))?;
        let next = match backoff.due() {
            Some(due) if is_away && !paused => due,
            _ => Instant::now() + args.interval,
        };
        // Keys and changes of the window's size until it is time to ask again.
        loop {
            if !event::poll(next.saturating_duration_since(Instant::now()))? {
                break;
            }
            match wish(&event::read()?) {
                Wish::Quit => return Ok(()),
                Wish::Pause => paused = !paused,
                Wish::Nothing => {}
            }
            let screen = Screen { address, rates: &rates, streams: &streams, paused, is_away };
            terminal.draw(|frame| screen.draw(frame))?;
        }
        if paused {
            continue;
        }
        let asked = match client.take() {
            Some(client) => Ok(client),
            None => broker.connect_at_once().inspect(|_| since = Instant::now()),
        };
        let asked =
            asked.and_then(|mut client| Ok((client.stats()?, Kept::ask(&mut client)?, client)));
        match asked {
            Ok((message, kept, asked)) => {
                let stats = Stats::read(&message)?;
                client = Some(asked);
                if is_away {
                    // It may be another one, which counts from nothing.
                    (rates, streams) = (Rates::new(stats), Streams::new(kept));
                } else {
                    rates.renew(stats);
                    streams.renew(kept);
                }
            }
            Err(error) if is_outage(&error) && !args.once => backoff.lost(since),
            Err(QueueError::Connect { .. }) => backoff.failed(),
            Err(error) => return Err(error.into()),
        }
    }
}

fn wish(event: &Event) -> Wish {
    let Event::Key(key) = event else { return Wish::Nothing };
    match key.code {
        _ if key.kind == KeyEventKind::Release => Wish::Nothing,
        KeyCode::Char('q') | KeyCode::Esc => Wish::Quit,
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::Quit,
        KeyCode::Char('p' | ' ') => Wish::Pause,
        _ => Wish::Nothing,
    }
}
