//! The framing of requests and answers, as RFC 9110 and RFC 9112 say it.

use super::{Web, start};
use crate::support::line::over_each_line;

over_each_line! {
    requests_follow_each_other_however_they_are_cut,
    bodies_come_by_length_and_in_chunks,
    what_is_no_request_is_answered_and_ends_the_connection,
    methods_and_paths_are_answered_as_they_should_be,
    a_client_that_waits_for_a_word_gets_it,
    who_says_close_gets_the_end,
}

fn requests_follow_each_other_however_they_are_cut() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    let one = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let message = "POST /api/v1/publish?topic=/t HTTP/1.1\r\nHost: localhost\r\n\
                   Content-Type: application/json\r\nContent-Length: 2\r\n\r\n42";
    let all = [one, message, one].concat();
    // All at once.
    web.send(&all);
    let statuses = |web: &mut Web| [web.answer().status, web.answer().status, web.answer().status];
    assert_eq!(statuses(&mut web), [200, 202, 200]);
    // In two, at every place.
    for cut in 1..all.len() {
        let (first, rest) = all.split_at(cut);
        web.send(first);
        web.send(rest);
        assert_eq!(statuses(&mut web), [200, 202, 200], "cut at {cut}");
    }
    // A byte at a time.
    for byte in all.bytes() {
        web.send([byte]);
    }
    assert_eq!(statuses(&mut web), [200, 202, 200]);
    assert_eq!(broker.stats().published, 1 + all.len() as u64);
    assert_eq!(broker.stats().refused, 0);
    // An empty line behind a request is none.
    web.send("\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n");
    assert_eq!(web.answer().status, 404);
    assert_eq!(broker.stats().refused, 1);
}

fn bodies_come_by_length_and_in_chunks() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    let line = "POST /api/v1/publish?topic=/t";
    let long = format!("\"{}\"", "x".repeat(300_000));
    web.request(line, "", long.as_bytes());
    assert_eq!(web.answer().status, 202);
    assert_eq!(web.get("/api/v1/value?topic=/t").text(), long);
    web.request(line, "Transfer-Encoding: chunked\r\n", b"");
    for piece in long.as_bytes().chunks(7_001) {
        web.send([format!("{:x};a=b\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    }
    web.send("0\r\nTrailer: ignored\r\n\r\n");
    assert_eq!(web.answer().status, 202);
    assert_eq!(web.get("/api/v1/value?topic=/t").text(), long);
    assert_eq!(broker.stats().published, 2);
}

fn what_is_no_request_is_answered_and_ends_the_connection() {
    let broker = start(|config| config);
    let mut bystander = Web::connect(&broker);
    let long = "x".repeat(20_000);
    for (bytes, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/3.0\r\nHost: h\r\n\r\n".to_owned(), 400),
        ("\0\0\0\0\u{2}{}".to_owned(), 400),
        (format!("GET /{long}"), 414),
        (format!("GET / HTTP/1.1\r\nA: {long}"), 431),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 2\r\n\r\n".to_owned(), 400),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_owned(),
            400,
        ),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(), 501),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ,\r\n\r\n".to_owned(), 400),
        ("GET http://evil/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nOrigin: a\r\nOrigin: b\r\n\r\n".to_owned(), 400),
    ] {
        let mut web = Web::connect(&broker);
        web.send(&bytes);
        let answer = web.answer();
        answer.is_problem(status, "");
        assert_eq!(answer.field("connection"), Some("close"));
        assert!(web.is_over());
        assert_eq!(bystander.get("/healthz").status, 200);
    }
    // A body that is none.
    let mut web = Web::connect(&broker);
    web.request("POST /api/v1/publish?topic=/t", "Transfer-Encoding: chunked\r\n", b"");
    web.send("2\r\n42x\r\n0\r\n\r\n");
    web.answer().is_problem(400, "");
    assert!(web.is_over());
    assert_eq!(broker.stats().published, 0);
}

fn methods_and_paths_are_answered_as_they_should_be() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    web.request("HEAD /healthz", "", b"");
    let head = web.answer_to("HEAD").unwrap();
    let get = web.get("/healthz");
    assert_eq!((head.status, head.field("content-length")), (200, get.field("content-length")));
    web.request("OPTIONS /api/v1/value", "", b"");
    let options = web.answer();
    assert_eq!((options.status, options.field("allow")), (204, Some("GET, DELETE, HEAD, OPTIONS")));
    web.request("OPTIONS *", "", b"");
    assert_eq!(web.answer().status, 204);
    for (line, status) in [
        ("PUT /api/v1/publish", 405),
        ("BREW /healthz", 501),
        ("get /healthz", 501),
        ("GET /nowhere", 404),
        ("GET /healthz?a=b", 400),
        ("GET http://localhost/healthz", 200),
    ] {
        web.request(line, "", b"");
        let answer = web.answer();
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        assert_eq!(answer.field("connection"), Some("keep-alive"), "nothing else is lost");
        assert_eq!(answer.field("allow").is_some(), status == 405);
    }
}

fn a_client_that_waits_for_a_word_gets_it() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    let line = "POST /api/v1/publish?topic=/t HTTP/1.1\r\nHost: localhost\r\n\
                Expect: 100-continue\r\nContent-Length:";
    web.send(format!("{line} 2\r\n\r\n"));
    assert_eq!(web.head().unwrap(), "HTTP/1.1 100 Continue");
    web.send("42");
    assert_eq!(web.answer().status, 202);
    // What would be refused is refused instead, and is not sent.
    web.send(format!("{line} 999999999\r\n\r\n"));
    web.answer().is_problem(413, "");
    assert!(web.is_over());
}

fn who_says_close_gets_the_end() {
    let broker = start(|config| config);
    for head in [
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET /healthz HTTP/1.0\r\n\r\n",
    ] {
        let mut web = Web::connect(&broker);
        web.send(head);
        let answer = web.answer();
        assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
        assert!(web.is_over());
    }
    // The length of a stream is not known, so nothing comes behind it, nor behind its head alone.
    let mut web = Web::connect(&broker);
    web.request("HEAD /api/v1/subscribe?topic=/t", "", b"");
    web.request("GET /healthz", "", b"");
    let answer = web.answer_to("HEAD").unwrap();
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert!(web.is_over());
    let mut web = Web::connect(&broker);
    web.send("GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert_eq!(web.answer().field("connection"), Some("keep-alive"));
    assert_eq!(web.get("/healthz").status, 200);
}
