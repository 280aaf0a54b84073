//! How systems are started.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{
    Line, Programs, Running, System, jetstream_configuration, mosquitto_configuration,
    mosquitto_mqtt_configuration, nats_configuration, nats_mqtt_configuration,
};
use crate::net::Between;
use crate::web::Handshake;

/// How long a broker may take to accept connections.
const START: Duration = Duration::from_secs(15);

impl Programs {
    /// Starts a system. `detail` is the direction for the CPython translator.
    pub(crate) fn start(&self, system: System, detail: &str) -> Result<Running> {
        self.start_as(system, detail, Line::Plain)
    }

    /// Starts a system whose connections are sealed.
    pub(crate) fn start_sealed(&self, system: System) -> Result<Running> {
        let tls = self.certificates()?;
        let mut running = self.start_as(system, "", Line::Tls)?;
        running.endpoint.between = Between::Tls(tls);
        Ok(running)
    }

    /// Starts a system whose connections are WebSockets; requests of HTTP have their address too.
    pub(crate) fn start_web(&self, system: System) -> Result<Running> {
        let handshake = match system {
            System::Babelmq => Handshake { path: "/ws", subprotocol: Some("babelmq") },
            System::Nats | System::DebianNats => Handshake { path: "/", subprotocol: None },
            _ => bail!("{} is not measured by WebSocket", system.title()),
        };
        let mut running = self.start_as(system, "", Line::Web)?;
        running.endpoint.between = Between::Web(handshake);
        Ok(running)
    }

    pub(super) fn start_as(&self, system: System, detail: &str, line: Line) -> Result<Running> {
        let program = self.find(system)?;
        match system {
            System::Babelmq | System::Relay | System::Cpython | System::Orjson => {
                let arguments = self.arguments(system, detail, line);
                Self::start_on_any_port(system, &program, &arguments)
            }
            _ => {
                // The port was free a moment ago; where it is not any more, another is.
                let mut last = None;
                for _ in 0..3 {
                    match self.start_on_port(system, &program, free_port()?, line) {
                        Ok(running) => return Ok(running),
                        Err(error) => last = Some(error),
                    }
                }
                Err(last.context("not tried")?)
            }
        }
    }

    /// Starts babelmq with options of its own.
    pub(crate) fn start_babelmq(&self, options: &[&str]) -> Result<Running> {
        let own = options.iter().map(|option| (*option).to_owned());
        let arguments = self
            .arguments(System::Babelmq, "", Line::Plain)
            .into_iter()
            .chain(own)
            .collect::<Vec<_>>();
        Self::start_on_any_port(System::Babelmq, &self.find(System::Babelmq)?, &arguments)
    }

    /// For systems that take any free port and say which.
    fn start_on_any_port(system: System, program: &Path, arguments: &[String]) -> Result<Running> {
        let mut child = Command::new(program)
            .args(arguments)
            .env("BABELMQ_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = child.stdout.take();
        let mut running = Running::new(system, child, 0);
        let mut line = String::new();
        BufReader::new(stdout.context("no output")?).read_line(&mut line)?;
        let words = line.split_whitespace().map(|word| word.trim_end_matches(','));
        let mut addresses =
            words.filter_map(|word| word.rsplit('/').next().unwrap_or(word).parse().ok());
        let said = || format!("{} said {line:?}", system.title());
        running.native.address = addresses.next().with_context(said)?;
        running.endpoint.address = addresses.next_back().unwrap_or(running.native.address);
        Ok(running)
    }

    fn start_on_port(
        &self,
        system: System,
        program: &Path,
        port: u16,
        line: Line,
    ) -> Result<Running> {
        if system == System::Mosquitto {
            let file = self.scratch.join(format!("mosquitto-{port}.conf"));
            let scratch = self.scratch.display().to_string();
            let folder = (line == Line::Tls).then_some(scratch.as_str());
            let configuration = match line {
                Line::Mqtt => mosquitto_mqtt_configuration(&port.to_string()),
                _ => mosquitto_configuration(&port.to_string(), folder),
            };
            fs::write(file, configuration)?;
        }
        if line == Line::Mqtt && system == System::Nats {
            let file = self.scratch.join(format!("nats-{port}.conf"));
            let data = self.data.display().to_string();
            fs::write(file, nats_mqtt_configuration(&port.to_string(), &data))?;
        }
        if line == Line::Web {
            let file = self.scratch.join(format!("nats-{port}.conf"));
            fs::write(file, nats_configuration(&port.to_string()))?;
        }
        if let (System::JetStream, Line::Keeping(sync)) = (system, line) {
            let file = self.scratch.join(format!("jetstream-{port}.conf"));
            let data = self.data.display().to_string();
            fs::write(file, jetstream_configuration(&port.to_string(), &data, sync))?;
        }
        let arguments = self.arguments(system, "", line);
        let arguments = arguments.iter().map(|it| it.replace("PORT", &port.to_string()));
        self.start_with(system, program, port, arguments)
    }

    /// Starts a system and waits until it listens.
    pub(super) fn start_with(
        &self,
        system: System,
        program: &Path,
        port: u16,
        arguments: impl Iterator<Item = String>,
    ) -> Result<Running> {
        let child = Command::new(program)
            .args(arguments)
            .current_dir(&self.scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut running = Running::new(system, child, port);
        let deadline = Instant::now() + START;
        while TcpStream::connect(running.endpoint.address).is_err() {
            if let Some(status) = running.child.try_wait()? {
                bail!("{} ended at once: {status}", system.title());
            }
            ensure!(
                Instant::now() < deadline,
                "{} did not listen within {START:?}",
                system.title()
            );
            // Other programs do not say when they listen; it is asked until the deadline.
            thread::sleep(Duration::from_millis(10));
        }
        Ok(running)
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
