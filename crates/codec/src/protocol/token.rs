//! What an answer brings back from its request.

/// The part of a request that its answer brings back, so that it can be written: a format, or the
/// number of a packet.
///
/// Only the wire that read the request knows what its token means. The dispatcher, which decides on
/// the answer, hands it back as it is. It is as wide as the numbers of MQTT's packets (MQTT 5,
/// §2.2.1).
///
/// ```
/// use babelmq_codec::protocol::Token;
///
/// let asked = Token(7);
/// let answered = asked;
/// assert_eq!(answered.0, 7);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Token(pub u16);
