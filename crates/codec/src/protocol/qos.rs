//! How surely a message is to arrive, as MQTT counts it.

/// The quality of service with which a message was published (MQTT 5.0, 4.3). The broker's own
/// protocol has none: what it brings says nothing of it.
///
/// ```
/// use babelmq_codec::protocol::Qos;
///
/// assert_eq!(Qos::from_byte(2), Some(Qos::ExactlyOnce));
/// assert_eq!(Qos::from_byte(3), None);
/// assert!(Qos::AtMostOnce < Qos::AtLeastOnce);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Qos {
    /// It may be lost.
    #[default]
    AtMostOnce = 0,
    /// It may arrive more than once.
    AtLeastOnce = 1,
    /// It arrives once.
    ExactlyOnce = 2,
}

impl Qos {
    /// The quality of service of this number, from 0 to 2.
    #[inline]
    pub fn from_byte(byte: u8) -> Option<Qos> {
        match byte {
            0 => Some(Qos::AtMostOnce),
            1 => Some(Qos::AtLeastOnce),
            2 => Some(Qos::ExactlyOnce),
            _ => None,
        }
    }

    /// Its number.
    #[inline]
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// In two bits, where it may be unsaid: 0, or one more than its number.
    #[inline]
    pub(crate) fn to_bits(qos: Option<Qos>) -> u8 {
        qos.map_or(0, |qos| qos.byte() + 1)
    }

    /// The same, read.
    #[inline]
    pub(crate) fn from_bits(bits: u8) -> Option<Qos> {
        bits.checked_sub(1).and_then(Qos::from_byte)
    }
}
