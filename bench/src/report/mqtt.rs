//! How MQTT is measured, for `mqtt.md`.

use crate::load::assured::IN_FLIGHT;

/// Appends it, to the part that is called "How".
pub(super) fn write(out: &mut String) {
    *out += &format!(
        "All brokers get the same packets, of MQTT 3.1.1; each client begins a clean session \
         without a keep-alive. Payloads are small records of compact JSON. Messages are published \
         without RETAIN, so nobody keeps a last value of them; babelmq judges each payload \
         (`format=auto`) and finds that it is JSON, the others pass on bytes.\n\n\
         A publisher of QoS 1 or 2 has at most {IN_FLIGHT} messages that are not acknowledged, \
         and writes the next hundred when as many are; the subscriber asks for the same QoS and \
         answers all that a read brought with one write. At most 1,024 messages are on their way \
         to it, which is configured for Mosquitto and NATS and fixed in babelmq. What is counted \
         is what the subscriber receives; after each measurement it is checked that everything \
         published was acknowledged and received once. One message at a time is from the write to \
         the delivery. NATS keeps sessions, and messages of QoS 1 and 2, in streams of its own and \
         these in files (its default; on the disk every 2 minutes), and speaks no MQTT without \
         them; Mosquitto and babelmq have them in memory.\n\n\
         Idle sessions connect 100 at a time, each with CONNECT and SUBSCRIBE (QoS 0) in one \
         write; the rate is that of their SUBACKs, in which the generator has its part on two \
         cores. Memory is what the broker's resident set has grown by 6 s after the last; a \
         thread's stack in the kernel is counted as 16 KiB.\n\n\
         Rows of translation are babelmq's alone. *Of what native JSON to JSON is* is to a flow of \
         the same value in babelmq's own protocol from end to end, measured around it (native, \
         across, across, native), each on a broker of its own. What native producers publish is \
         kept as the last value, which is their default.\n\n"
    );
}
