//! With which arguments and configurations systems are started.

use super::{ACTIVEMQ, CERTIFICATE, KEY, Line, Programs, Sync, System};

/// Messages of QoS 1 and 2 on their way to a client of MQTT, at most. It is babelmq's bound, which
/// cannot be configured.
const MQTT_UNACKNOWLEDGED: usize = 1024;

impl Programs {
    /// The arguments as they are reported: where a configuration lies is nobody's business.
    pub(crate) fn arguments_for_people(
        &self,
        system: System,
        detail: &str,
        line: Line,
    ) -> Vec<String> {
        let scratch = self.scratch.display().to_string();
        let data = self.data.display().to_string();
        let arguments = self.arguments(system, detail, line).into_iter();
        let told = |argument: String| argument.replace(&data, "DATA").replace(&scratch, "FOLDER");
        arguments.map(told).collect()
    }

    /// The arguments a system is started with; `PORT` stands for the port. One whose connections
    /// have TLS has the certificate of [`certificates`](Programs::certificates).
    pub(crate) fn arguments(&self, system: System, detail: &str, line: Line) -> Vec<String> {
        let scratch = self.scratch.display();
        let data = self.data.display();
        let is_always = line == Line::Keeping(Sync::Always);
        let line = match system {
            System::Babelmq if line == Line::Tls => format!(
                "serve --listen tls://127.0.0.1:0 --tls-cert {scratch}/{CERTIFICATE} --tls-key \
                 {scratch}/{KEY} --max-connections 20000"
            ),
            System::Babelmq if line == Line::Web => {
                "serve --listen http://127.0.0.1:0 --max-connections 20000".to_owned()
            }
            System::Babelmq if line == Line::Mqtt => {
                "serve --listen 127.0.0.1:0 --listen mqtt://127.0.0.1:0 --max-connections 20000"
                    .to_owned()
            }
            System::Babelmq if matches!(line, Line::Keeping(_)) => format!(
                "serve --listen 127.0.0.1:0 --data-dir {data} --stream bench:filter=bench/kept/# \
                 --fsync {}",
                if is_always { "always" } else { "interval" }
            ),
            System::Babelmq => "serve --listen 127.0.0.1:0 --max-connections 20000".to_owned(),
            System::Nats | System::DebianNats if line == Line::Tls => format!(
                "--addr 127.0.0.1 --port PORT --tls --tlscert {scratch}/{CERTIFICATE} --tlskey \
                 {scratch}/{KEY}"
            ),
            System::Nats | System::DebianNats if matches!(line, Line::Web | Line::Mqtt) => {
                format!("-c {scratch}/nats-PORT.conf")
            }
            System::Nats | System::DebianNats => "--addr 127.0.0.1 --port PORT".to_owned(),
            System::Redis => {
                "--bind 127.0.0.1 --port PORT --save NOTHING --appendonly no --maxclients 15000 \
                 --client-output-buffer-limit pubsub_0_0_0 --daemonize no"
                    .to_owned()
            }
            System::JetStream => format!("-c {scratch}/jetstream-PORT.conf"),
            System::RedisStreams => format!(
                "--bind 127.0.0.1 --port PORT --save NOTHING --appendonly yes --appendfsync {} \
                 --auto-aof-rewrite-percentage 0 --dir {data} --daemonize no",
                if is_always { "always" } else { "everysec" }
            ),
            System::Beanstalkd => {
                format!("-l 127.0.0.1 -p PORT -b {data} -f {}", if is_always { 0 } else { 1000 })
            }
            System::Mosquitto => format!("-c {scratch}/mosquitto-PORT.conf"),
            System::Relay => "relay".to_owned(),
            System::Cpython => format!("{} {detail} standard", self.diy.display()),
            System::ActiveMq => format!(
                "{ACTIVEMQ} start broker:(stomp://127.0.0.1:PORT)?persistent=false&useJmx=false"
            ),
            System::Orjson => format!("{} {detail} orjson", self.diy.display()),
        };
        let words = line.split_whitespace();
        words
            .map(|word| {
                if word == "NOTHING" { "" } else { word }.replace("pubsub_0_0_0", "pubsub 0 0 0")
            })
            .collect()
    }
}

/// Of NATS by WebSocket. What listens in plain takes any port.
pub(crate) fn nats_configuration(port: &str) -> String {
    format!(
        "host: 127.0.0.1\nport: -1\nwebsocket {{ host: 127.0.0.1, port: {port}, no_tls: true }}\n"
    )
}

/// Of NATS by MQTT. Sessions, and messages of QoS 1 and 2, are kept in its streams, which it cannot
/// be without.
pub(crate) fn nats_mqtt_configuration(port: &str, data: &str) -> String {
    format!(
        "server_name: bench\nhost: 127.0.0.1\nport: -1\njetstream {{ store_dir: \"{data}\" }}\n\
         mqtt {{ host: 127.0.0.1, port: {port}, max_ack_pending: {MQTT_UNACKNOWLEDGED} }}\n"
    )
}

/// Of NATS with streams.
pub(crate) fn jetstream_configuration(port: &str, data: &str, sync: Sync) -> String {
    let always = if sync == Sync::Always { ", sync_interval: always" } else { "" };
    format!(
        "host: 127.0.0.1\nport: {port}\njetstream {{ store_dir: \"{data}\", max_file_store: \
         100GB{always} }}\n"
    )
}

/// Of Mosquitto where QoS is measured.
pub(crate) fn mosquitto_mqtt_configuration(port: &str) -> String {
    let rest = mosquitto_configuration(port, None);
    format!("{rest}max_inflight_messages {MQTT_UNACKNOWLEDGED}\n")
}

/// Nothing is kept, and nothing is dropped. `sealed`: the folder with the certificates, where
/// connections are sealed.
pub(crate) fn mosquitto_configuration(port: &str, sealed: Option<&str>) -> String {
    let tls =
        sealed.map(|folder| format!("certfile {folder}/{CERTIFICATE}\nkeyfile {folder}/{KEY}\n"));
    format!(
        "listener {port} 127.0.0.1\n{}allow_anonymous true\npersistence false\n\
         max_queued_messages 0\nmax_queued_bytes 0\nset_tcp_nodelay true\nlog_type error\n",
        tls.unwrap_or_default()
    )
}
