//! The dashboard: a page in one file, put together of its parts when the program is built.
//!
//! Markup, style and script are parts of one text, because a page that needs no second request is
//! there at once and stays there when the broker is busy. What is inline may run because its
//! policy has the hash of it, and nothing else may.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::response::Response;

macro_rules! style {
    () => {
        concat!("\n", include_str!("page/style.css"))
    };
}

// The parts of the script share one block, so that what they declare is theirs alone. A part may
// use those behind it in its functions, and those before it everywhere.
macro_rules! script {
    () => {
        concat!(
            "\n\"use strict\";\n{\n",
            include_str!("page/basics.js"),
            include_str!("page/values.js"),
            include_str!("page/topics.js"),
            include_str!("page/grid.js"),
            include_str!("page/panel.js"),
            include_str!("page/api.js"),
            include_str!("page/line.js"),
            include_str!("page/status.js"),
            include_str!("page/meters.js"),
            include_str!("page/broker.js"),
            include_str!("page/clients.js"),
            include_str!("page/streams.js"),
            include_str!("page/letters.js"),
            include_str!("page/publish.js"),
            include_str!("page/account.js"),
            include_str!("page/begin.js"),
            "}\n"
        )
    };
}

const STYLE: &str = style!();
const SCRIPT: &str = script!();

const PAGE: &str = concat!(
    include_str!("page/head.html"),
    "<style>",
    style!(),
    "</style>\n</head>\n",
    include_str!("page/body.html"),
    "<script>",
    script!(),
    "</script>\n</body>\n</html>\n"
);

/// The page.
pub(crate) fn page() -> Response {
    Response::new(200)
        .with_body("text/html; charset=utf-8", PAGE.into())
        .with("Content-Security-Policy", policy())
        .with("Referrer-Policy", "no-referrer")
        .with("Cross-Origin-Opener-Policy", "same-origin")
}

/// What the page may do, the value of its `Content-Security-Policy`: run the script that is in it,
/// and talk to the broker that it came from. Text never becomes markup, whoever tries
/// (`require-trusted-types-for`), and no other page may have this one in a frame.
fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
        let (script, style) = (hash(SCRIPT), hash(STYLE));
        format!(
            "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; \
             connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
        )
    });
    &POLICY
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// What a browser finds between two tags.
    fn between<'page>(begin: &str, end: &str) -> &'page str {
        let parts: Vec<&str> = PAGE.split(begin).collect();
        assert_eq!(parts.len(), 2, "{begin} is there once");
        parts[1].split_once(end).unwrap().0
    }

    #[test]
    fn the_policy_has_the_hashes_of_what_a_browser_finds() {
        assert_eq!(between("<style>", "</style>"), STYLE);
        assert_eq!(between("<script>", "</script>"), SCRIPT);
        for (of, text) in [("script-src", SCRIPT), ("style-src", STYLE)] {
            let hash = STANDARD.encode(Sha256::digest(text.as_bytes()));
            assert!(policy().contains(&format!("{of} 'sha256-{hash}';")), "{}", policy());
        }
        assert!(policy().starts_with("default-src 'none';") && !policy().contains("unsafe"));
    }

    #[test]
    fn every_part_is_in_the_page_and_in_short_lines() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/page");
        let mut parts = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            assert!(PAGE.contains(&text), "{} is in no list", path.display());
            let long = text.lines().find(|line| line.chars().count() > 100);
            assert_eq!(long, None, "{}", path.display());
            assert!(text.lines().count() <= 700, "{}", path.display());
            parts += 1;
        }
        assert!(parts > 10, "only {parts} parts were looked at");
    }

    #[test]
    fn the_page_names_no_other_host_and_makes_no_markup_of_text() {
        // A name of a namespace, which nobody asks for.
        let page = PAGE.replace("http://www.w3.org/2000/svg", "");
        for forbidden in ["http://", "https://", "//cdn", "@import", "url(", " on\u{6c}oad="] {
            assert!(!page.contains(forbidden), "the page has {forbidden}");
        }
        let ways = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("];
        for way in ways.iter().chain(&["DOMParser", "new Function", "srcdoc", "javascript:"]) {
            assert!(!page.contains(way), "the page has {way}");
        }
    }
}
