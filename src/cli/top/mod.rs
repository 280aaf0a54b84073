//! `babelmq top`: a live view of a broker.

mod screen;
mod stats;

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use self::screen::Screen;
use self::stats::{Rates, Stats};
use super::args::{Address, seconds};
use super::failure::Failure;
use super::pretty;
use crate::middleware::{Client, QueueError};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How often to ask the broker.
    #[arg(long, short, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// Print what the broker counts, once, as JSON.
    #[arg(long)]
    json: bool,
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
    let failed = Failure::broker(&args.broker.address);
    let on_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    if !args.json && !on_terminal {
        return Err(Failure::Usage("top is for a terminal; --json prints the numbers once".into()));
    }
    let mut client = args.broker.connect().map_err(&failed)?;
    // Before the screen is taken: an error is better read without one.
    let message = client.stats().map_err(&failed)?;
    if args.json {
        let text = String::from_utf8_lossy(message.bytes());
        return Ok(writeln!(io::stdout(), "{}", pretty::data(&text))?);
    }
    let first = Stats::read(&message).map_err(&failed)?;
    let mut terminal = ratatui::try_init()?;
    let watched = watch(args, &mut client, first, &mut terminal);
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

fn watch(
    args: &Args,
    client: &mut Client,
    first: Stats,
    terminal: &mut ratatui::DefaultTerminal,
) -> Result<(), Stopped> {
    let mut rates = Rates::new(first);
    let mut paused = false;
    loop {
        let screen = Screen { address: &args.broker.address, rates: &rates, paused };
        terminal.draw(|frame| screen.draw(frame))?;
        let next = Instant::now() + args.interval;
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
            let screen = Screen { address: &args.broker.address, rates: &rates, paused };
            terminal.draw(|frame| screen.draw(frame))?;
        }
        if !paused {
            rates.renew(Stats::read(&client.stats()?)?);
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
