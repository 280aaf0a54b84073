//! The systems that are compared: where they are, how they are started and ended, and what they
//! cost the machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

/// A program that says which Python and orjson these are.
const ORJSON_VERSION: &str = "import orjson, platform; \
     print('Python', platform.python_version(), 'with orjson', orjson.__version__)";

/// How long a broker may take to accept connections.
const START: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum System {
    Babelmq,
    /// The newest that PyPI had.
    Nats,
    DebianNats,
    Redis,
    Mosquitto,
    /// Copies bytes.
    Relay,
    /// `pickle.loads` and `json.dumps` between two sockets.
    Cpython,
    /// The same with orjson.
    Orjson,
}

impl System {
    pub(crate) const ALL: [System; 8] = [
        System::Babelmq,
        System::Nats,
        System::DebianNats,
        System::Redis,
        System::Mosquitto,
        System::Relay,
        System::Cpython,
        System::Orjson,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            System::Babelmq => "babelmq",
            System::Nats => "NATS",
            System::DebianNats => "NATS of Debian",
            System::Redis => "Redis pub/sub",
            System::Mosquitto => "Mosquitto",
            System::Relay => "bare relay",
            System::Cpython => "CPython translator",
            System::Orjson => "CPython with orjson",
        }
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) babelmq: PathBuf,
    /// The CPython translator's source.
    pub(crate) diy: PathBuf,
    /// What the installer of peers brought from PyPI.
    cache: PathBuf,
    /// For configurations; removed with the value.
    scratch: PathBuf,
}

impl Programs {
    pub(crate) fn new(babelmq: PathBuf, diy: PathBuf, cache: PathBuf) -> Result<Programs> {
        let scratch = std::env::temp_dir().join(format!("babelmq-bench-{}", std::process::id()));
        fs::create_dir_all(&scratch)?;
        // Some drop their privileges, and still read it.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&scratch, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Programs { babelmq, diy, cache, scratch })
    }

    /// The program of a system, if it is on this machine.
    pub(crate) fn find(&self, system: System) -> Result<PathBuf> {
        match system {
            System::Babelmq => {
                ensure!(
                    self.babelmq.is_file(),
                    "{} is not there; build it with: cargo build --release",
                    self.babelmq.display()
                );
                Ok(self.babelmq.clone())
            }
            System::Nats => self.brought("nats-server"),
            System::DebianNats => on_path("nats-server"),
            System::Redis => on_path("redis-server"),
            System::Mosquitto => on_path("mosquitto"),
            System::Relay => Ok(std::env::current_exe()?),
            System::Cpython => on_path("python3"),
            System::Orjson => self.brought("python"),
        }
    }

    fn brought(&self, name: &str) -> Result<PathBuf> {
        let file = self.cache.join("venv/bin").join(name);
        ensure!(file.is_file(), "bench/install-peers.sh has not brought it");
        // Systems are started in another folder.
        Ok(std::path::absolute(file)?)
    }

    /// What the system says that it is.
    pub(crate) fn version(&self, system: System) -> Result<String> {
        let arguments: &[&str] = match system {
            System::Mosquitto => &["-h"],
            System::Relay => return Ok("part of this benchmark".to_owned()),
            System::Orjson => &["-c", ORJSON_VERSION],
            _ => &["--version"],
        };
        let output =
            Command::new(self.find(system)?).args(arguments).stdin(Stdio::null()).output()?;
        let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text.lines().next().unwrap_or_default();
        // Redis also says which allocator and build it is.
        Ok(line.split(" sha=").next().unwrap_or_default().trim().to_owned())
    }

    /// Starts a system. `detail` is the direction for the CPython translator.
    pub(crate) fn start(&self, system: System, detail: &str) -> Result<Running> {
        let program = self.find(system)?;
        match system {
            System::Babelmq | System::Relay | System::Cpython | System::Orjson => {
                Self::start_on_any_port(system, &program, &self.arguments(system, detail))
            }
            System::Nats | System::DebianNats | System::Redis | System::Mosquitto => {
                // The port was free a moment ago; where it is not any more, another is.
                let mut last = None;
                for _ in 0..3 {
                    match self.start_on_port(system, &program, free_port()?) {
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
        let arguments =
            self.arguments(System::Babelmq, "").into_iter().chain(own).collect::<Vec<_>>();
        Self::start_on_any_port(System::Babelmq, &self.find(System::Babelmq)?, &arguments)
    }

    /// The arguments as they are reported: where a configuration lies is nobody's business.
    pub(crate) fn arguments_for_people(&self, system: System, detail: &str) -> Vec<String> {
        let scratch = self.scratch.display().to_string();
        let arguments = self.arguments(system, detail).into_iter();
        arguments.map(|argument| argument.replace(&scratch, "FOLDER")).collect()
    }

    /// The arguments a system is started with; `PORT` stands for the port.
    pub(crate) fn arguments(&self, system: System, detail: &str) -> Vec<String> {
        let scratch = self.scratch.display();
        let line = match system {
            System::Babelmq => "serve --listen 127.0.0.1:0 --max-connections 20000".to_owned(),
            System::Nats | System::DebianNats => "--addr 127.0.0.1 --port PORT".to_owned(),
            System::Redis => {
                "--bind 127.0.0.1 --port PORT --save NOTHING --appendonly no --maxclients 15000 \
                 --client-output-buffer-limit pubsub_0_0_0 --daemonize no"
                    .to_owned()
            }
            System::Mosquitto => format!("-c {scratch}/mosquitto-PORT.conf"),
            System::Relay => "relay".to_owned(),
            System::Cpython => format!("{} {detail} standard", self.diy.display()),
            System::Orjson => format!("{} {detail} orjson", self.diy.display()),
        };
        let words = line.split_whitespace();
        words
            .map(|word| {
                if word == "NOTHING" { "" } else { word }.replace("pubsub_0_0_0", "pubsub 0 0 0")
            })
            .collect()
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
        // From here on the child ends with this value, whatever happens.
        let mut running = Running {
            child,
            threads: Mutex::default(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let mut line = String::new();
        BufReader::new(stdout.context("no output")?).read_line(&mut line)?;
        let address = line.split_whitespace().last().and_then(|word| word.parse().ok());
        running.address = address.with_context(|| format!("{} said {line:?}", system.title()))?;
        Ok(running)
    }

    fn start_on_port(&self, system: System, program: &Path, port: u16) -> Result<Running> {
        if system == System::Mosquitto {
            let file = self.scratch.join(format!("mosquitto-{port}.conf"));
            fs::write(file, mosquitto_configuration(&port.to_string()))?;
        }
        let arguments = self.arguments(system, "");
        let child = Command::new(program)
            .args(arguments.iter().map(|argument| argument.replace("PORT", &port.to_string())))
            .current_dir(&self.scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut running = Running {
            child,
            threads: Mutex::default(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        };
        let deadline = Instant::now() + START;
        while TcpStream::connect(running.address).is_err() {
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

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// Nothing is kept, and nothing is dropped.
pub(crate) fn mosquitto_configuration(port: &str) -> String {
    format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages \
         0\n\
         max_queued_bytes 0\nset_tcp_nodelay true\nlog_type error\n"
    )
}

fn on_path(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.with_context(|| format!("{name} is not installed"))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A system that runs; it is ended with the value.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// What each thread had when it was last seen.
    threads: Mutex<BTreeMap<OsString, f64>>,
    pub(crate) address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has in memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    /// With what the kernel keeps for it beside its sockets: page tables, and a stack for each
    /// thread.
    pub(crate) with_kernel: f64,
}

impl Running {
    /// Nanoseconds of processor time that its threads have had; of those that have ended, until
    /// they were last seen.
    pub(crate) fn processor_time(&self) -> Result<f64> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?;
            // A thread may have ended since it was listed.
            let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            let first = text.split_whitespace().next().context("an empty schedstat")?;
            let time = threads.entry(task.file_name()).or_default();
            *time = time.max(first.parse()?);
        }
        Ok(threads.values().sum())
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        const KERNEL_STACK: f64 = 16.0 * 1024.0;
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| -> Result<f64> {
            let line =
                status.lines().find_map(|line| line.strip_prefix(name)).context("no such field")?;
            Ok(line.split_whitespace().next().context("an empty field")?.parse()?)
        };
        let resident = field("VmRSS:")? * 1024.0;
        let kernel = field("VmPTE:")? * 1024.0 + field("Threads:")? * KERNEL_STACK;
        Ok(Memory { resident, with_kernel: resident + kernel })
    }
}
