//! Topics that break the rules, in every command that names one.

use babelmq::Format::{Pickle, Xml};

use super::row::{Row, refused};
use crate::support::Field::{Raw, Str};
use crate::support::{FORMATS, body, number};

pub fn rows() -> Vec<Row> {
    let long = "x".repeat(1_025);
    let huge = "x".repeat(1 << 20);
    let slashes = "/".repeat(1 << 20);
    let segments = vec!["s"; 65].join("/");
    let both = ["", "//", "a//b", "/t/", "a+b", "#/a", "a/#/b", "a\0", "\0", "a\u{7f}", "a\u{85}"];
    let both = both.into_iter().chain([&*long, &huge, &slashes, &segments]);
    let wild = ["+", "#", "a/+", "a/#", "+/a", "/"];
    let mut rows = Vec::new();
    for format in FORMATS {
        let payload = number(format, 2);
        let mut add = |command: &'static str, topic: &str| {
            // XML cannot say NUL, and says so itself.
            let code = if format == Xml && topic.contains('\0') {
                "malformed-xml"
            } else {
                "invalid-topic"
            };
            let fields =
                [("command", Str(command)), ("topic", Str(topic)), ("message", Raw(&payload))];
            let shown: String = topic.escape_debug().take(10).collect();
            let name = format!("{format} {command} {shown} of {} bytes", topic.len());
            rows.push(refused(name, format, body(format, &fields), code));
        };
        for topic in both.clone() {
            for command in ["publish", "get", "clear", "subscribe", "cancel", "list"] {
                add(command, topic);
            }
        }
        for topic in wild {
            for command in ["publish", "get"] {
                add(command, topic);
            }
        }
        // They are the broker's own.
        for topic in ["$", "$SYS/uptime", "$dead/orders/7"] {
            for command in ["publish", "clear"] {
                add(command, topic);
            }
        }
        for filter in ["$dead/#", "$dead/+", "$+"] {
            add("clear", filter);
        }
        // With a wildcard it would be a filter, which may be cleared.
        add("clear", "/");
    }
    // '/\ud800', as CPython writes it with `surrogatepass`.
    let publish = b"\x80\x02}(X\x07\0\0\0commandX\x07\0\0\0publishX\x05\0\0\0topicX\x04\0\0\0/\xed\xa0\x80X\x07\0\0\0messageNu.";
    rows.push(refused("a topic with a lone surrogate", Pickle, publish, "invalid-value"));
    rows
}
