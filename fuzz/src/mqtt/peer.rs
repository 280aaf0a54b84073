//! rumqttc, a client of MQTT that others wrote, as a second reader and writer of packets.

mod compare;
mod dice;
mod meant;
mod mistakes;
mod reasons;
mod received;
mod sent;
mod theirs;

pub use compare::mqtt_mistakes;
pub(super) use compare::reads_the_same;
use dice::Dice;
pub(super) use received::fault_is_told;

/// Packets that one input makes at most.
const MOST: usize = 16;

/// Makes packets of some bytes: what a server sends, which rumqttc is to read, and what rumqttc
/// sends, which is to be read here. Says how many.
pub fn mqtt_peer(input: &[u8]) -> usize {
    let mut dice = Dice::new(input);
    let mut count = 0;
    while count < MOST && (count == 0 || dice.are_left()) {
        if dice.flag() {
            received::check(&mut dice)
        } else {
            sent::check(&mut dice)
        }
        count += 1;
    }
    count
}
