//! What the library shows at its root: each type has an example, and can grow.

use std::fs;
use std::path::{Path, PathBuf};

use crate::architecture::{sources, src};

/// What stands at the root of the library, and where it is made.
struct Item {
    name: String,
    file: PathBuf,
    /// Its documentation and attributes.
    above: Vec<String>,
    /// The line that declares it.
    head: String,
    /// Its fields or variants.
    body: Vec<String>,
}

impl Item {
    fn has_example(&self) -> bool {
        let is_doc = |line: &&String| line.starts_with("///") || line.contains("doc = \"");
        self.above.iter().filter(is_doc).any(|line| line.contains("```"))
    }

    fn is_non_exhaustive(&self) -> bool {
        self.above.iter().any(|line| line == "#[non_exhaustive]")
    }

    /// The names of the fields that everybody sees.
    fn fields(&self) -> Vec<&str> {
        let fields = self.body.iter().filter_map(|line| line.strip_prefix("pub "));
        fields.filter_map(|field| Some(field.split_once(':')?.0)).collect()
    }
}

/// The names that `src/lib.rs` takes from these rooms. Those of `codec` and `protocol` are another
/// crate's.
fn names(face: &str) -> Vec<(&'static str, String)> {
    let code: String = face.lines().filter(|line| !line.starts_with("//")).collect();
    let mut names = Vec::new();
    for room in ["broker", "middleware", "storage", "transport"] {
        for (at, path) in code.match_indices(&format!("pub use {room}::")) {
            let list = code[at + path.len()..].split(';').next().unwrap();
            let list = list.trim_matches(['{', '}']).split(',').map(str::trim);
            names.extend(list.filter(|name| !name.is_empty()).map(|name| (room, name.to_owned())));
        }
    }
    names
}

/// The declaration of `name` in a source, wherever it is indented.
fn item(name: &str, file: &Path, source: &str) -> Option<Item> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let declares = |line: &&str| {
        ["struct", "enum", "trait", "type", "const"].iter().any(|kind| {
            line.strip_prefix(&format!("pub {kind} {name}"))
                .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
        })
    };
    let at = lines.iter().position(declares)?;
    let is_above = |line: &&&str| line.starts_with("///") || line.starts_with("#[");
    let above = lines[..at].iter().rev().take_while(is_above).map(ToString::to_string).collect();
    let mut body = Vec::new();
    if lines[at].ends_with('{') {
        let indent = source.lines().nth(at)?.len() - lines[at].len();
        let end = format!("{}}}", " ".repeat(indent));
        let inside = source.lines().skip(at + 1).take_while(|line| *line != end);
        body = inside.map(|line| line.trim().to_owned()).collect();
    }
    let (name, head) = (name.to_owned(), lines[at].to_owned());
    Some(Item { name, file: file.to_owned(), above, head, body })
}

fn items() -> Vec<Item> {
    let face = fs::read_to_string(src().join("lib.rs")).unwrap();
    let found = |(room, name): (&str, String)| {
        let files = sources(&src().join(room));
        let mut items =
            files.iter().filter_map(|file| item(&name, file, &fs::read_to_string(file).unwrap()));
        items.next().unwrap_or_else(|| panic!("{name} is not declared in src/{room}"))
    };
    let named = names(&face).into_iter().filter(|(_, name)| !is_module(name));
    let items: Vec<Item> = named.map(found).collect();
    assert!(items.len() > 40, "only {} names were looked at", items.len());
    items
}

/// Whether a name at the root is a module's, whose documentation is in its file.
fn is_module(name: &str) -> bool {
    name.starts_with(|first: char| first.is_lowercase())
}

#[test]
fn every_module_at_the_root_has_an_example() {
    let face = fs::read_to_string(src().join("lib.rs")).unwrap();
    let modules: Vec<_> = names(&face).into_iter().filter(|(_, name)| is_module(name)).collect();
    assert_eq!(modules, [("middleware", "typed".to_owned())]);
    for (room, name) in modules {
        let source = fs::read_to_string(src().join(room).join(&name).join("mod.rs")).unwrap();
        assert!(source.contains("//! ```") && source.contains("doc = \"```\""), "{name}");
    }
}

#[test]
fn everything_at_the_root_has_an_example() {
    let without: Vec<String> =
        items().into_iter().filter(|item| !item.has_example()).map(|item| item.name).collect();
    assert!(without.is_empty(), "no example: {without:?}");
}

/// A field or a variant more is no reason for anybody's program not to compile.
#[test]
fn what_will_grow_says_so() {
    /// A store must know every kind of change.
    const CLOSED: &[&str] = &["Change"];
    let grows = |item: &Item| match item.head.split(' ').nth(1) {
        Some("struct") => !item.fields().is_empty(),
        Some("enum") => !item.body.is_empty() && !CLOSED.contains(&item.name.as_str()),
        _ => false,
    };
    let growing: Vec<Item> = items().into_iter().filter(grows).collect();
    assert!(growing.len() > 18, "only {} were looked at", growing.len());
    for item in growing {
        assert!(item.is_non_exhaustive(), "{} is exhaustive", item.name);
    }
}

#[test]
fn every_option_has_a_method_of_its_name() {
    const OPTIONS: &[&str] =
        &["Config", "Publish", "QueueLimits", "StoreLimits", "Subscribe", "Subtree"];
    let limits = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/codec/src/protocol/limits.rs");
    let limits = item("Limits", &limits, &fs::read_to_string(&limits).unwrap()).unwrap();
    assert!(limits.has_example() && limits.is_non_exhaustive());
    let options =
        items().into_iter().filter(|item| OPTIONS.contains(&item.name.as_str())).chain([limits]);
    let mut fields = 0;
    for item in options {
        let source = fs::read_to_string(&item.file).unwrap();
        for field in item.fields() {
            // What a subtree is of is said when it is made.
            if (&*item.name, field) == ("Subtree", "filter") {
                continue;
            }
            fields += 1;
            let method = format!("pub fn {field}(self, ");
            assert!(source.contains(&method), "{} has no method {field}", item.name);
        }
    }
    assert_eq!(fields, 55, "as many as there are");
}

#[test]
fn a_declaration_is_found_with_what_is_above_and_in_it() {
    let source = "/// Other.\npub struct Ab;\n\n/// Text.\n/// ```\n#[non_exhaustive]\npub struct A {\n    \
                  /// Doc.\n    pub b: u8,\n    c: u8,\n    pub(crate) d: u8,\n}\n/// ```\npub enum B {}\n";
    let found = |name| item(name, Path::new(""), source).unwrap();
    assert_eq!(found("A").fields(), ["b"]);
    assert!(found("A").has_example() && found("A").is_non_exhaustive());
    assert!(!found("Ab").has_example() && found("B").has_example());
    assert_eq!(
        names("pub use broker::{\n    A, B,\n};\n#[x]\npub use storage::Storage;"),
        [("broker", "A".into()), ("broker", "B".into()), ("storage", "Storage".into())]
    );
}

/// What went wrong can be asked for, and not only read.
#[cfg(feature = "cli")]
mod errors {
    use std::error::Error;
    use std::io;

    use babelmq::{
        Broker, ErrorCode, JsonQueue, ListenUrl, QueueError, Refused, StartError, Storage,
    };

    use crate::support::config;

    fn kind(error: &dyn Error) -> Option<io::ErrorKind> {
        error.source()?.downcast_ref::<io::Error>().map(io::Error::kind)
    }

    #[test]
    fn a_broker_that_does_not_start_says_what_the_system_said() {
        let first = Broker::start(config()).unwrap();
        let taken = Broker::start(config().listeners([first.local_addr()])).unwrap_err();
        assert!(matches!(taken, StartError::Listen { .. }));
        assert_eq!(kind(&taken), Some(io::ErrorKind::AddrInUse), "{taken}");
        let thread = StartError::from(io::Error::from(io::ErrorKind::WouldBlock));
        assert_eq!(kind(&thread), Some(io::ErrorKind::WouldBlock), "{thread}");
    }

    #[test]
    fn a_store_that_does_not_open_says_what_the_system_said() {
        let file = std::env::temp_dir().join(format!("babelmq-surface-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let no_directory = Storage::open(&file, true).unwrap_err();
        let below = Storage::open(&file.join("below"), true).unwrap_err();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(kind(&no_directory), Some(io::ErrorKind::AlreadyExists), "{no_directory}");
        assert_eq!(kind(&below), Some(io::ErrorKind::AlreadyExists), "{below}");
        let error = StartError::from(no_directory.clone());
        assert_eq!(kind(&error), Some(io::ErrorKind::AlreadyExists), "as the store's own");
        assert_eq!(error.to_string(), no_directory.to_string());
    }

    #[test]
    fn a_url_that_is_none_has_said_all_itself() {
        for text in ["ftp://127.0.0.1:21", "nowhere", "unix:b.sock", "unix:/b?mode=888"] {
            assert!(text.parse::<ListenUrl>().unwrap_err().source().is_none(), "{text}");
        }
    }

    #[test]
    fn a_queue_says_what_the_system_said_and_which_code_the_broker_gave() {
        let refused_to = {
            let broker = Broker::start(config()).unwrap();
            JsonQueue::builder("t").address(broker.local_addr())
        };
        let unreachable = refused_to.producer().unwrap_err();
        assert_eq!(kind(&unreachable), Some(io::ErrorKind::ConnectionRefused), "{unreachable}");
        assert_eq!(unreachable.code(), None);

        let mut config = config();
        config.store.values = 0;
        let broker = Broker::start(config).unwrap();
        let mut queue = JsonQueue::builder("t").address(broker.local_addr()).producer().unwrap();
        // From a client that has asked for nothing yet, one read is stored rather than refused.
        queue.flush().unwrap();
        queue.push(&1).unwrap();
        let refused = queue.flush().unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::StoreFull));
        let source = refused.source().and_then(|source| source.downcast_ref::<Refused>());
        assert_eq!(source.and_then(Refused::error_code), Some(ErrorCode::StoreFull));
        let unsent = JsonQueue::producer("no//topic").unwrap_err();
        assert_eq!(unsent.code(), Some(ErrorCode::InvalidTopic));
        assert!(matches!(unsent, QueueError::Invalid(_)) && unsent.source().is_some());
    }
}
