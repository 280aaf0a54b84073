//! Scalars of the standard library are read straight, and as the machine reads them.

use super::*;

const RECORDS: &str = include_str!("../../../tests/vectors/pickle/records.txt");

fn records() -> impl Iterator<Item = (String, Vec<u8>)> {
    RECORDS.lines().map(|line| {
        let [name, protocols, pickle] = columns(line);
        (format!("{name}, protocol {protocols}"), unhex(pickle))
    })
}

/// A value, if there is one.
type Read = Option<String>;

fn straight(pickle: &[u8], limits: &Limits) -> Read {
    let mut document = Document::new();
    let read = fast_decode::read(pickle, 0..pickle.len(), &mut document, limits, MAX_DEPTH);
    assert!(read.is_some() || document.weight() == 0, "{}", pickle.escape_ascii());
    read.map(|at| whole(pickle, &document, at))
}

fn by_the_machine(pickle: &[u8], limits: &Limits) -> Read {
    let mut document = Document::new();
    let read = by_machine(pickle, 0..pickle.len(), &mut document, limits).ok();
    read.map(|at| whole(pickle, &document, at))
}

fn whole(pickle: &[u8], document: &Document, at: usize) -> String {
    assert_eq!((at, document.nodes()[0].nodes()), (0, document.len()));
    show(document.view(pickle, at))
}

/// Whether the pickle is read the straight way, and then as by the machine.
fn is_straight(pickle: &[u8], limits: &Limits) -> bool {
    let read = straight(pickle, limits);
    if read.is_some() {
        assert_eq!(read, by_the_machine(pickle, limits), "{}", pickle.escape_ascii());
    }
    read.is_some()
}

#[test]
fn what_picklers_write_is_read_straight() {
    for (name, pickle) in records() {
        assert!(is_straight(&pickle, &limits()), "{name}");
        let inside = [b"]".as_slice(), &pickle[..pickle.len() - 1], b"a."].concat();
        assert!(is_straight(&inside, &limits()), "{name}, in a list");
    }
}

#[test]
fn shapes_are_read_alike() {
    let mut read = 0;
    for line in include_str!("../../../tests/vectors/pickle/shapes.txt").lines() {
        let [name, verdict, pickle, ..] = columns::<5>(line);
        let is_straight = is_straight(&unhex(pickle), &limits());
        assert!(verdict != "refuse" || !is_straight, "{name}");
        read += usize::from(is_straight);
    }
    assert!(read > 300, "only {read} were read straight");
}

#[test]
fn every_truncation_is_left_to_the_machine() {
    for (name, pickle) in records().filter(|(_, pickle)| pickle.len() < 1_000) {
        for length in 0..pickle.len() {
            // What is left may end in a byte that happens to be STOP.
            let is_whole = is_straight(&pickle[..length], &limits());
            assert!(!is_whole || pickle[length - 1] == opcode::STOP, "{name} cut to {length}");
        }
    }
}

/// Every byte becomes every other that an opcode is, and one of each kind else.
#[test]
fn every_changed_byte_is_read_alike() {
    const BYTES: &[u8] = b"\0\x01\x02\x08\x0a\x10\x7f\xff().0123CGJKMNRXabcehijqrstu]}\
        \x81\x85\x86\x87\x88\x89\x8a\x8c\x8f\x90\x91\x93\x94";
    let limits = Limits { decoded_size: 1 << 16, ..limits() };
    let mut read = 0;
    for (_, mut pickle) in records().filter(|(_, pickle)| pickle.len() < 300) {
        for at in 0..pickle.len() {
            let was = pickle[at];
            for &byte in BYTES.iter().chain(&[was ^ 1, was ^ 0x80, was.wrapping_add(1)]) {
                pickle[at] = byte;
                read += usize::from(is_straight(&pickle, &limits));
            }
            pickle[at] = was;
        }
    }
    assert!(read > 10_000, "only {read} were read straight");
}

#[test]
fn mutations_are_read_alike() {
    let pickles: Vec<Vec<u8>> =
        records().map(|(_, pickle)| pickle).filter(|pickle| pickle.len() < 1_000).collect();
    let mut random = Random(0x7e57);
    let mut read = 0;
    for _ in 0..30_000 {
        let mut pickle = pickles[random.below(pickles.len())].clone();
        let other = &pickles[random.below(pickles.len())];
        random.mutate(&mut pickle, other);
        let limits = Limits { decoded_size: 1 << (8 + random.below(9)), ..Limits::default() };
        read += usize::from(is_straight(&pickle, &limits));
    }
    assert!(read > 500, "only {read} were read straight");
}

/// A budget that is enough for one reader is enough for the other.
#[test]
fn both_ways_cost_the_same() {
    let text =
        |text: String| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let list = |global: &[u8], args: &[u8]| [b"](c", global, b"\n(", args, b"tRNe."].concat();
    let zeros = text(format!("{}1", "0".repeat(300)));
    let fraction = text(format!("{}/{}", "7".repeat(40), "1".repeat(30)));
    let numpy = [
        b"cnumpy\ndtype\n\x8c\x04S200\x89\x88\x87R(K\x03\x8c\x01|NNNK\xc8K\x01K\0tb".as_slice(),
        b"C\xc8",
        &[0; 200],
    ];
    let mut pickles = vec![
        list(b"decimal\nDecimal", &zeros),
        list(b"fractions\nFraction", &fraction),
        list(b"numpy.core.multiarray\nscalar", &numpy.concat()),
        // One that is referred to often.
        [b"](cfractions\nFraction\n", &*fraction, b"\x85R\x94", &b"h\0".repeat(40), b"e."].concat(),
    ];
    pickles.extend(records().map(|(_, pickle)| pickle).filter(|pickle| pickle.len() < 600));
    for pickle in pickles {
        let with = |decoded_size| Limits { decoded_size, ..Limits::default() };
        let enough = (0..20_000).find(|&size| by_the_machine(&pickle, &with(size)).is_some());
        let size = enough.unwrap_or_else(|| panic!("{}", pickle.escape_ascii()));
        assert_eq!(straight(&pickle, &with(size - 1)), None, "{}", pickle.escape_ascii());
        assert!(is_straight(&pickle, &with(size)), "{size}: {}", pickle.escape_ascii());
    }
}

#[test]
fn what_is_no_value_is_left_to_the_machine() {
    for pickle in [
        // A function, a zone and a dtype as values, at the end and inside.
        b"\x80\x04\x8c\x08datetime\x94\x8c\x08datetime\x94\x93\x94.".as_slice(),
        b"](cdatetime\ndatetime\ne.",
        b"}\x8c\x01acdatetime\ndatetime\ns.",
        b"}(cdatetime\ndatetime\nNu.",
        b"\x8f(cdatetime\ndatetime\n\x90.",
        b"cdatetime\ndatetime\n\x85.",
        b"](cdatetime\ntimezone\ncdatetime\ntimedelta\nK\0K\0K\0\x87R\x85Re.",
        b"](cnumpy\ndtype\n\x8c\x02f8\x89\x88\x87Re.",
        b"](cnumpy\ndtype\n\x8c\x02f8\x89\x88\x87R(K\x03\x8c\x01<NNNK\0K\0K\0tbe.",
        // A dtype that is used before its state, and one that has it twice.
        b"](cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n\x8c\x02f8\x89\x88\x87RC\x080000000\x86Re.",
        b"](cnumpy\ndtype\n\x8c\x02f8\x89\x88\x87R(K\x03\x8c\x01<NNNK\0K\0K\0tb(K\x03\x8c\x01<NNNK\0K\0K\0tbe.",
        // Calls across a MARK, with too many arguments, with containers, and of nothing.
        b"cdatetime\ndate\n(C\x04\x07\xea\x01\x01\x85R.",
        b"cdatetime\ndate\nC\x04\x07\xea\x01\x01(\x85R.",
        b"ccollections\nCounter\n}\x85R.",
        b"cdatetime\ntimedelta\n(K\0K\0K\0K\0tR.",
        b"NC\x04\x07\xea\x01\x01\x85R.",
        b"\x85R.",
        b"R.",
        b"\x93.",
        b"\x81.",
        b"(\x93.",
        b"\x8c\x08datetime(\x8c\x04date\x93.",
        b"\x8c\x02os\x8c\x06system\x93.",
        b"cos\nsystem\n.",
        b"cos",
        // A UUID without its state, with half of it, with another, and one that is fetched before.
        b"cuuid\nUUID\n)\x81.",
        b"cuuid\nUUID\n)\x81}b.",
        b"cuuid\nUUID\n)\x81}\x8c\x03intK\x01s.",
        b"cuuid\nUUID\n)\x81}\x8c\x03intJ\xff\xff\xff\xffsb.",
        b"cuuid\nUUID\n)\x81}\x8c\x03int\x8a\x01\xffsb.",
        b"cuuid\nUUID\n)\x81}\x8c\x04numbK\x01sb.",
        b"cuuid\nUUID\n)\x81}(\x8c\x07is_safeK\x00ub.",
        b"cuuid\nUUID\n)\x81}(\x8c\x03intK\x01\x8c\x07is_safeK\0\x8c\x07is_safeK\0ub.",
        b"cuuid\nUUID\n)\x81}\x8c\x03int\x8a\x11\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01sb.",
        b"(cuuid\nUUID\n)\x81\x94}\x8c\x03inth\0sb.",
        b"cuuid\nUUID\nK\x01\x85\x81}\x8c\x03intK\x01sb.",
        b"cuuid\nUUID\n]\x81}\x8c\x03intK\x01sb.",
        b"cdatetime\ndate\n)\x81}\x8c\x03intK\x01sb.",
    ] {
        assert_eq!(straight(pickle, &limits()), None, "{}", pickle.escape_ascii());
    }
    // The number of objects within objects is no depth of the reader's own.
    let deep = b"cuuid\nUUID\n)".repeat(100_000);
    let deep = [&deep, b"\x81}".as_slice(), &b"\x81}".repeat(100_000), b"."].concat();
    assert_eq!(straight(&deep, &limits()), None);
}
