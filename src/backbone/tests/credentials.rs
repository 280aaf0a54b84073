//! Servers that know their users by what their operator has signed.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;

use super::super::JetstreamOptions;
use super::fixture::Line;
use super::nats::NatsServer;

/// What a key says of another, as `nsc` writes it (JWT with the algorithm `ed25519-nkey`).
fn jwt(issuer: &KeyPair, subject: &KeyPair, what: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = format!(
        "{{\"jti\":\"1\",\"iat\":1,\"iss\":\"{}\",\"sub\":\"{}\",\"name\":\"x\",\"nats\":{what}}}",
        issuer.public_key(),
        subject.public_key()
    );
    let said =
        format!("{}.{}", encode("{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}"), encode(&claims));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(said.as_bytes()).unwrap());
    format!("{said}.{signature}")
}

#[test]
fn a_file_of_credentials_logs_in() {
    let operator = KeyPair::new_operator();
    let [account, system] = [KeyPair::new_account(), KeyPair::new_account()];
    let limits = "\"subs\":-1,\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,\
                  \"wildcards\":true,\"conn\":-1,\"leaf\":-1";
    let disk = "\"mem_storage\":-1,\"disk_storage\":-1,\"streams\":-1,\"consumer\":-1";
    let of_account = |key, limits: &str| {
        jwt(
            &operator,
            key,
            &format!("{{\"limits\":{{{limits}}},\"type\":\"account\",\"version\":2}}"),
        )
    };
    let server = NatsServer::start_with(&[
        &format!(
            "operator: {}",
            jwt(&operator, &operator, "{\"type\":\"operator\",\"version\":2}")
        ),
        &format!("system_account: {}", system.public_key()),
        "resolver: MEMORY",
        &format!(
            "resolver_preload: {{ {}: {}, {}: {} }}",
            account.public_key(),
            of_account(&account, &format!("{limits},{disk}")),
            system.public_key(),
            of_account(&system, limits)
        ),
    ]);
    let user = KeyPair::new_user();
    let said = jwt(
        &account,
        &user,
        "{\"subs\":-1,\"data\":-1,\"payload\":-1,\"type\":\"user\",\"version\":2}",
    );
    let file = |seed: &str| {
        format!(
            "-----BEGIN NATS USER JWT-----\n{said}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    };
    let path = server.directory().join("user.creds");
    let line = || {
        let options = JetstreamOptions::new(&server.url()).unwrap().credentials(&path);
        Line::with(options, "orders/#", None)
    };
    fs::write(&path, file(&user.seed().unwrap())).unwrap();
    let reason = line().unavailable();
    assert!(reason.contains("no stream orders"), "{reason}");
    // Another's seed does not sign for this one.
    fs::write(&path, file(&KeyPair::new_user().seed().unwrap())).unwrap();
    let reason = line().unavailable();
    assert!(reason.contains("authorization violation"), "{reason}");
}
