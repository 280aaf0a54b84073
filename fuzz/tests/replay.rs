//! The corpora: what fuzzing found, the vectors of the other tests, and every input that broke
//! something once.

use std::path::Path;
use std::{fs, thread};

use babelmq_fuzz::{TARGETS, run};

#[test]
fn every_input_of_the_corpora_passes() {
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let entries =
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut count = 0;
        for entry in entries {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            // On a new thread nothing is kept from the input before, so each costs what it costs
            // first.
            if thread::spawn(move || run(target, &input)).join().is_err() {
                broken.push(path);
            }
            count += 1;
        }
        assert!(count > 10, "{} holds {count} inputs", folder.display());
        println!("{name}: {count} inputs");
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
