//! The settings of TLS, and what the log says of a certificate that ends.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::{Served, run, scratch};

/// Writes a certificate that ends in so many days, at midnight, and its key.
fn write(file: &PathBuf, days: i64) {
    let now = Timestamp::try_from(SystemTime::now()).unwrap();
    let end = TimeZone::UTC.to_datetime(now).date() + days.days();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(end.year().into(), end.month() as u8, end.day() as u8);
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap().pem();
    fs::write(file, cert + &key.serialize_pem()).unwrap();
}

#[test]
fn a_certificate_that_ends_soon_is_a_line_in_the_log_at_the_start_and_when_it_is_read_again() {
    let file = scratch("ends-soon").join("both.pem");
    write(&file, 10);
    let path = file.to_str().unwrap();
    let mut served = Served::start(&["--tls-cert", path]);
    let mut log = served.log();
    let mut next = |part: &str| log.find(|line| line.contains(part)).unwrap();
    let line = next("ends soon");
    assert!(line.contains("WARN") && line.contains(path) && line.contains("days=9"), "{line}");
    write(&file, -1);
    served.signal("HUP");
    let line = next("has ended");
    assert!(line.contains("ERROR") && line.contains(path), "{line}");
    // One that ends late is not worth a word.
    write(&file, 16);
    served.signal("HUP");
    next("read again");
    fs::write(&file, "none").unwrap();
    served.signal("HUP");
    let line = next("certificate");
    assert!(line.contains("going on with the certificates as they were"), "{line}");
}

#[test]
fn settings_without_a_certificate_say_so() {
    let file = scratch("without").join("both.pem");
    write(&file, 100);
    let path = file.to_str().unwrap();
    for setting in [
        ["--tls-key", path],
        ["--tls-client-ca", path],
        ["--tls-client-auth", "required"],
        ["--tls-crl", path],
        ["--tls-user-from", "cn"],
    ] {
        let (code, _, stderr) = run(&["serve", "--check", setting[0], setting[1]]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(setting[0]) && stderr.contains("add --tls-cert"), "{stderr}");
    }
    let check = |more: &[&str]| run(&[&["serve", "--check", "--tls-cert", path], more].concat());
    assert_eq!(check(&[]).0, Some(0));
    let (code, _, stderr) = check(&["--tls-user-from", "uri"]);
    assert_eq!((code, stderr.contains("add --tls-client-auth")), (Some(1), true), "{stderr}");
    let client = ["--tls-client-ca", path, "--tls-client-auth", "required"];
    assert_eq!(check(&client).0, Some(0));
    let (code, _, stderr) = check(&[&client[..], &["--tls-crl", path]].concat());
    assert_eq!((code, stderr.contains("revoked")), (Some(1), true), "{stderr}");
}
