//! Packets of MQTT that rumqttc writes and reads, made of random bytes, and what becomes of the
//! corpus when bytes of it are changed.

use std::path::Path;
use std::{fs, thread};

use babelmq_fuzz::{mqtt, mqtt_mistakes, mqtt_peer, run};

/// Numbers that are the same in every run (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() >> 16) as usize % count
    }
}

/// How often: `FUZZ_TIMES` times as often as usual.
fn times() -> usize {
    std::env::var("FUZZ_TIMES").map_or(1, |times| times.parse().expect("FUZZ_TIMES is a number"))
}

#[test]
fn rumqttc_and_the_broker_read_what_the_other_writes() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut packets = 0;
    for _ in 0..10_000 * times() {
        let input: Vec<u8> = (0..512).map(|_| random.next() as u8).collect();
        packets += mqtt_peer(&input);
    }
    println!("{packets} packets");
    assert!(packets >= 100_000);
}

#[test]
fn rumqttc_still_makes_each_of_its_mistakes() {
    mqtt_mistakes();
}

#[test]
fn the_corpus_of_mqtt_with_bytes_changed_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/mqtt");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..20_000 * times() {
        let input = changed(&corpus, &mut random);
        let copy = input.clone();
        let is_broken = thread::spawn(move || run(mqtt, &copy)).join().is_err();
        assert!(!is_broken, "{input:02x?}");
    }
}

/// An input of the corpus, with a few changes.
fn changed(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len().max(1)).min(input.len());
        let end = (at + random.below(9)).min(input.len());
        match random.below(6) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.next() as u8,
            2 => input.insert(at, random.next() as u8),
            3 => drop(input.drain(at..end)),
            4 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            // The packets of another, without its first three bytes.
            _ => {
                let other = &corpus[random.below(corpus.len())];
                input.extend_from_slice(other.get(3..).unwrap_or_default());
            }
        }
    }
    input
}
