//! Who asks by HTTP, and what they may.

use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Web, start};
use crate::support::line::over_each_line;

over_each_line! {
    each_request_has_the_rights_of_its_own_user,
    a_wrong_login_is_refused_and_ends_the_connection,
    metrics_and_clients_have_rights_of_their_own,
}

/// A file of users, one of whom has a token.
fn users(name: &str, more: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("http-users");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{}-{name}.toml", std::process::id()));
    let hash = |token: &str| {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(token.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let text = format!(
        "[[user]]\nname = 'ada'\ntoken-sha256 = '{}'\nroles = ['all']\n\
         [[user]]\nname = 'bob'\ntoken-sha256 = '{}'\nroles = ['some']\n\
         [role.all]\npublish = ['#']\nsubscribe = ['#']\nstats = true\nadmin = true\n\
         [role.some]\npublish = ['/b']\nsubscribe = ['/b']\n{more}",
        hash("ada-token-0123456789"),
        hash("bob-token-0123456789"),
    );
    fs::write(&file, text).unwrap();
    file
}

const ADA: &str = "Authorization: Bearer ada-token-0123456789\r\n";
const BOB: &str = "Authorization: bearer bob-token-0123456789\r\n";

fn each_request_has_the_rights_of_its_own_user() {
    let broker = start(|config| config.users(users("own", "")));
    // One connection, as a proxy has it for many users.
    let mut web = Web::connect(&broker);
    let mut ask = |line: &str, fields: &str, body: &[u8]| {
        web.request(line, fields, body);
        let answer = web.answer();
        assert_eq!(answer.field("connection"), Some("keep-alive"), "{line} {answer:?}");
        answer
    };
    assert_eq!(ask("POST /api/v1/publish?topic=/a", ADA, b"1").status, 202);
    assert_eq!(ask("POST /api/v1/publish?topic=/b", BOB, b"2").status, 202);
    ask("GET /api/v1/value?topic=/a", BOB, b"").is_problem(403, "not-permitted");
    assert_eq!(ask("GET /api/v1/value?topic=/a", ADA, b"").text(), "1");
    let stranger = ask("GET /api/v1/value?topic=/a", "", b"");
    stranger.is_problem(401, "login-required");
    assert!(stranger.field("www-authenticate").is_some_and(|how| how.starts_with("Basic")));
    assert_eq!(ask("GET /api/v1/topics", BOB, b"").text(), r#"{"topics":["/b"]}"#);
    assert_eq!(ask("GET /api/v1/topics", ADA, b"").text(), r#"{"topics":["/a","/b"]}"#);
    ask("GET /api/v1/stats", BOB, b"").is_problem(403, "not-permitted");
    assert_eq!(ask("GET /api/v1/stats", ADA, b"").status, 200);
    // Whether it lives is told to everybody.
    assert_eq!(ask("GET /healthz", "", b"").status, 200);
    assert_eq!(ask("GET /readyz", "", b"").status, 200);
    assert_eq!(ask("GET /openapi.json", "", b"").json()["openapi"], "3.1.0");
    // Nothing of a body is taken that may not be published.
    web.request("POST /api/v1/publish?topic=/a", BOB, b"3");
    web.answer().is_problem(403, "not-permitted");
    assert!(web.is_over());
    assert_eq!(broker.stats().published, 2);
}

fn a_wrong_login_is_refused_and_ends_the_connection() {
    let broker = start(|config| config.users(users("wrong", "")));
    let basic = STANDARD.encode("ada:s3cret");
    for fields in
        [format!("Authorization: Basic {basic}\r\n"), "Authorization: Bearer s3cret\r\n".to_owned()]
    {
        let mut web = Web::connect(&broker);
        web.request("GET /api/v1/topics", &fields, b"");
        // What comes while a wrong login waits is not read as a request, nor what follows it.
        web.request("GET /healthz", "", b"");
        let answer = web.answer();
        answer.is_problem(401, "login-failed");
        assert!(!answer.text().contains("s3cret"));
        assert_eq!(answer.field("connection"), Some("close"));
        assert!(web.is_over());
    }
    assert_eq!(broker.stats().logins_failed, 2);
}

#[test]
fn a_user_who_is_taken_out_of_the_file_is_refused() {
    let file = users("reload", "");
    let broker = start(|config| config.users(file.clone()));
    let mut web = Web::connect(&broker);
    let mut ask = |fields: &str| {
        web.request("GET /api/v1/topics", fields, b"");
        web.answer()
    };
    assert_eq!(ask(BOB).status, 200);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("name = 'bob'", "name = 'eve'")).unwrap();
    broker.reload_users().unwrap();
    // The token is another user's now.
    let answer = ask(BOB);
    assert_eq!((answer.status, answer.text()), (200, r#"{"topics":[]}"#));
    fs::write(&file, text.replace("bob", "eve").replace("roles = ['some']", "roles = []")).unwrap();
    broker.reload_users().unwrap();
    assert!([200, 401, 403].contains(&ask(BOB).status));
    assert_eq!(ask(ADA).status, 200);
}

#[test]
fn pages_of_other_hosts_may_do_what_they_are_allowed_to() {
    let broker = start(|config| config.http_origins(["https://app.example"]));
    let mut web = Web::connect(&broker);
    let mut from = |line: &str, origin: &str| {
        web.request(line, &format!("Origin: {origin}\r\n"), b"");
        web.answer()
    };
    let told = "access-control-allow-origin";
    let allowed = from("GET /healthz", "https://app.example");
    assert_eq!(allowed.field(told), Some("https://app.example"));
    assert_eq!(from("GET /healthz", "https://evil.example").field(told), None);
    let before = from("OPTIONS /api/v1/publish", "https://app.example");
    assert!(before.field("access-control-allow-methods").is_some_and(|it| it.contains("POST")));
    from("POST /api/v1/publish?topic=/a", "https://evil.example").is_problem(403, "");
    from("DELETE /api/v1/value?topic=/a", "null").is_problem(403, "");
    // It may read why something was refused.
    let refused = from("GET /nowhere", "https://app.example");
    assert_eq!((refused.status, refused.field(told)), (404, Some("https://app.example")));
    assert_eq!(from("DELETE /api/v1/value?topic=/a", "https://app.example").status, 204);
    // A name of somebody else's that leads to this machine.
    web.send("GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    web.answer().is_problem(421, "");
}

fn metrics_and_clients_have_rights_of_their_own() {
    let carol = "Authorization: Bearer carol-token-012345678\r\n";
    let hash = {
        use sha2::Digest;
        let digest = sha2::Sha256::digest("carol-token-012345678".as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let more = format!(
        "stats = false\n[[user]]\nname = 'carol'\ntoken-sha256 = '{hash}'\nroles = ['watch']\n\
         [role.watch]\nstats = true\n"
    );
    let broker = start(|config| config.users(users("monitor", &more)));
    let mut web = Web::connect(&broker);
    let mut ask = |line: &str, fields: &str| {
        web.request(line, fields, b"");
        web.answer()
    };
    ask("GET /metrics", "").is_problem(401, "login-required");
    ask("GET /metrics", BOB).is_problem(403, "not-permitted");
    assert_eq!(ask("GET /metrics", carol).status, 200);
    assert_eq!(ask("GET /metrics", ADA).status, 200, "who administrates may see them too");
    for line in ["GET /api/v1/clients", "DELETE /api/v1/clients?id=1"] {
        ask(line, carol).is_problem(403, "not-permitted");
        ask(line, "").is_problem(401, "login-required");
    }
    let told = ask("GET /api/v1/clients", ADA).json();
    assert_eq!(told["clients"][0]["protocol"], "http", "{told}");
    ask("DELETE /api/v1/clients?id=900", ADA).is_problem(404, "");
}

/// Where somebody who does not log in may do something, a page of another name could do it too.
#[test]
fn a_name_of_somebody_elses_is_not_believed_for_who_has_not_logged_in() {
    let anonymous = "[[user]]\nname = 'anonymous'\nroles = ['some']\n";
    for (more, status) in [(anonymous, 421), ("", 401)] {
        let broker = start(|config| config.users(users(&format!("rebind-{status}"), more)));
        let mut web = Web::connect(&broker);
        let mut ask = |fields: &str| {
            web.send(format!("GET /api/v1/topics HTTP/1.1\r\nHost: evil.example\r\n{fields}\r\n"));
            web.answer().status
        };
        assert_eq!((ask(""), ask(ADA)), (status, 200));
    }
}

/// A stranger is waited for as long as for a login.
#[test]
fn a_stranger_who_says_nothing_is_not_waited_for() {
    let timeout = std::time::Duration::from_millis(300);
    let broker = start(|config| config.users(users("silent", "")).login_timeout(timeout));
    let mut web = Web::connect(&broker);
    assert!(web.is_over());
    let mut web = Web::connect(&broker);
    assert_eq!(web.get("/healthz").status, 200);
    assert!(web.is_over());
}

/// What is refused was sent all the same.
#[test]
fn bytes_of_what_is_refused_count_for_a_rate() {
    let rate = "[[user]]\nname = 'eve'\ntoken-sha256 = 'TOKEN'\nroles = ['slow']\n\
                [role.slow]\npublish = ['#']\nbytes-per-second = 10_000\n";
    let token = {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(b"eve-token-0123456789");
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let file = users("rate", &rate.replace("TOKEN", &token));
    let broker = start(|config| config.users(file));
    let mut web = Web::connect(&broker);
    let began = std::time::Instant::now();
    for _ in 0..3 {
        let line = "POST /api/v1/publish?topic=/a";
        web.request(line, "Authorization: Bearer eve-token-0123456789\r\n", &[b'x'; 10_000]);
        web.answer().is_problem(400, "malformed-json");
    }
    assert!(began.elapsed() > std::time::Duration::from_millis(900), "{:?}", began.elapsed());
}
