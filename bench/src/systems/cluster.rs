//! Servers of JetStream that keep the same messages.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};

use super::arguments::jetstream_configuration;
use super::{Programs, Removed, Running, Sync, System};
use crate::net::Endpoint;

/// One server, or several that are a cluster, and their folder.
#[derive(Debug)]
pub(crate) struct Servers {
    // They end before their folder does.
    all: Vec<Running>,
    _folder: Removed,
}

impl Servers {
    /// That of whom clients connect to.
    pub(crate) fn first(&self) -> &Running {
        &self.all[0]
    }

    pub(crate) fn all(&self) -> Vec<&Running> {
        self.all.iter().collect()
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.first().endpoint
    }
}

impl Programs {
    /// Starts so many servers in an empty folder.
    pub(crate) fn start_jetstream(&self, servers: usize) -> Result<Servers> {
        let folder = self.data.join("cluster");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let mut started = Servers { all: Vec::new(), _folder: Removed(folder.clone()) };
        // All ports are taken before one is given back.
        let taken = (0..2 * servers).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let taken = taken.collect::<std::io::Result<Vec<_>>>()?;
        let ports = taken.iter().map(|it| Ok(it.local_addr()?.port()));
        let ports = ports.collect::<std::io::Result<Vec<u16>>>()?;
        drop(taken);
        let (ports, routes) = ports.split_at(servers);
        let all: Vec<_> =
            routes.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
        for (place, (port, route)) in ports.iter().zip(routes).enumerate() {
            let data = folder.join(place.to_string());
            fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
            let data = std::path::absolute(data)?.display().to_string();
            let mut text = jetstream_configuration(&port.to_string(), &data, Sync::Interval);
            if servers > 1 {
                text += &format!(
                    "server_name: s{place}\ncluster {{ name: bench, listen: \
                     \"127.0.0.1:{route}\", routes: [{}] }}\n",
                    all.join(", ")
                );
            }
            let file = self.scratch.join(format!("cluster-{port}.conf"));
            fs::write(&file, text)?;
            let system = System::JetStream;
            let program = self.find(system)?;
            let arguments = ["-c".to_owned(), file.display().to_string()];
            started.all.push(self.start_with(system, &program, *port, arguments.into_iter())?);
        }
        Ok(started)
    }
}
