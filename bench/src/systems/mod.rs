//! The systems that are compared: where they are, how they are started and ended, and what they
//! cost the machine.

mod arguments;
mod cluster;
mod keeping;
mod running;
mod start;
mod users;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::ClientConfig;
use serde::Serialize;

use crate::tls;

pub(crate) use arguments::{
    jetstream_configuration, mosquitto_configuration, mosquitto_mqtt_configuration,
    nats_configuration, nats_mqtt_configuration,
};
pub(crate) use cluster::Servers;
pub(crate) use running::{Memory, Running};
pub(crate) use users::WITH_PASSWORD;

/// A program that says which Python and orjson these are.
const ORJSON_VERSION: &str = "import orjson, platform; \
     print('Python', platform.python_version(), 'with orjson', orjson.__version__)";

/// Java's arguments before ActiveMQ's own. Debian's package leaves out what the transformations
/// need.
const ACTIVEMQ: &str = "-Xmx1g -cp /usr/share/activemq/lib/*:/usr/share/java/slf4j-nop.jar:\
     /usr/share/java/xstream.jar:/usr/share/java/xpp3.jar:/usr/share/java/jettison.jar \
     org.apache.activemq.console.command.ShellCommand";

/// The less usual of these.
const ACTIVEMQ_NEEDS: [&str; 3] = [
    "/usr/share/activemq/lib/activemq-stomp.jar",
    "/usr/share/java/xstream.jar",
    "/usr/share/java/jettison.jar",
];

/// The authority, the certificate and its key, in the folder for configurations.
const AUTHORITY: &str = "tls/ca.crt";
const CERTIFICATE: &str = "tls/server.crt";
const KEY: &str = "tls/server.key";

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
    /// Translates maps between XML and JSON in the broker, over STOMP.
    ActiveMq,
    /// The newest NATS, with its streams.
    JetStream,
    RedisStreams,
    Beanstalkd,
}

impl System {
    pub(crate) const ALL: [System; 12] = [
        System::Babelmq,
        System::Nats,
        System::DebianNats,
        System::Redis,
        System::Mosquitto,
        System::Relay,
        System::Cpython,
        System::Orjson,
        System::ActiveMq,
        System::JetStream,
        System::RedisStreams,
        System::Beanstalkd,
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
            System::ActiveMq => "ActiveMQ Classic",
            System::JetStream => "JetStream",
            System::RedisStreams => "Redis Streams",
            System::Beanstalkd => "beanstalkd",
        }
    }
}

/// What the connections of a system are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Plain,
    Tls,
    /// WebSockets.
    Web,
    /// MQTT.
    Mqtt,
    /// Plain, of a system that keeps messages in a folder.
    Keeping(Sync),
}

/// When what is kept is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Before it is confirmed.
    Always,
    /// Once in a while.
    Interval,
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) babelmq: PathBuf,
    /// The CPython translator's source.
    pub(crate) diy: PathBuf,
    /// What the installer of peers brought from PyPI.
    cache: PathBuf,
    /// For configurations; removed with the last clone.
    scratch: PathBuf,
    _removed: Arc<Removed>,
    /// For what is kept: on a disk.
    pub(crate) data: PathBuf,
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
        let data = scratch.clone();
        let _removed = Arc::new(Removed(scratch.clone()));
        Ok(Programs { babelmq, diy, cache, scratch, _removed, data })
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
            System::Nats | System::JetStream => self.brought("nats-server"),
            System::DebianNats => on_path("nats-server"),
            System::Redis | System::RedisStreams => on_path("redis-server"),
            System::Beanstalkd => on_path("beanstalkd"),
            System::Mosquitto => on_path("mosquitto"),
            System::Relay => Ok(std::env::current_exe()?),
            System::Cpython => on_path("python3"),
            System::Orjson => self.brought("python"),
            System::ActiveMq => {
                for jar in ACTIVEMQ_NEEDS {
                    ensure!(Path::new(jar).is_file(), "{jar} is not installed");
                }
                on_path("java")
            }
        }
    }

    fn brought(&self, name: &str) -> Result<PathBuf> {
        let file = self.cache.join("venv/bin").join(name);
        ensure!(file.is_file(), "bench/install-peers.sh has not brought it");
        // Systems are started in another folder.
        Ok(std::path::absolute(file)?)
    }

    /// Makes the brokers' certificate, and the authority that the load generator trusts, unless
    /// that is done. `babelmq certs` makes them, with a key of P-256.
    fn certificates(&self) -> Result<Arc<ClientConfig>> {
        let folder = self.scratch.join("tls");
        if !folder.exists() {
            let made = Command::new(self.find(System::Babelmq)?)
                .arg("certs")
                .arg(&folder)
                .stdin(Stdio::null())
                .output()?;
            ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            // Mosquitto reads them when it has dropped its privileges; they are for this run only.
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
                fs::set_permissions(self.scratch.join(KEY), fs::Permissions::from_mode(0o644))?;
            }
        }
        tls::client(&self.scratch.join(AUTHORITY))
    }

    /// What the system says that it is.
    pub(crate) fn version(&self, system: System) -> Result<String> {
        let activemq: Vec<&str> = ACTIVEMQ.split_whitespace().chain(["--version"]).collect();
        let arguments: &[&str] = match system {
            System::ActiveMq => &activemq,
            System::Mosquitto => &["-h"],
            System::Beanstalkd => &["-v"],
            System::Relay => return Ok("part of this benchmark".to_owned()),
            System::Orjson => &["-c", ORJSON_VERSION],
            _ => &["--version"],
        };
        let output =
            Command::new(self.find(system)?).args(arguments).stdin(Stdio::null()).output()?;
        let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        let text = String::from_utf8_lossy(&text).into_owned();
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        // Redis also says which allocator and build it is.
        Ok(line.split(" sha=").next().unwrap_or_default().trim().to_owned())
    }
}

/// A folder that ends with the value.
#[derive(Debug)]
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn on_path(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.with_context(|| format!("{name} is not installed"))
}
