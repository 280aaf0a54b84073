//! Users and how they log in; what roles add up to.

use crate::access::{ANONYMOUS, GrantLimits, PasswordHash, Policy, TokenHash};

/// A hash of "secret" that costs little: 8 KiB, one pass.
fn cheap() -> String {
    // Made by argon2(1): echo -n secret | argon2 saltsaltsaltsalt -id -t 1 -k 8 -p 1 -e
    let hash = argon2::Argon2::new(
        argon2::Algorithm::Argon2id,
        argon2::Version::V0x13,
        argon2::Params::new(8, 1, 1, Some(32)).unwrap(),
    );
    use argon2::PasswordHasher;
    hash.hash_password_with_salt(b"secret", b"saltsaltsaltsalt").unwrap().to_string()
}

#[test]
fn each_user_logs_in_in_one_way() {
    let (password, token) = (cheap(), TokenHash::of("token"));
    let policy = Policy::parse(&format!(
        "[[user]]\nname = 'ada'\npassword = '{password}'\n\
         [[user]]\nname = 'ci'\ntoken-sha256 = '{token}'\n\
         [[user]]\nname = 'oslo'\ncertificate = true\n\
         [[user]]\nname = 'anonymous'\n"
    ))
    .unwrap();
    let with_password =
        |name, password| policy.user_with_password(name, password).map(|user| user.name());
    assert_eq!(with_password("ada", "secret"), Some("ada"));
    for (name, password) in [
        ("ada", "Secret"),
        ("ada", ""),
        ("ci", "token"),
        ("ci", ""),
        ("oslo", ""),
        ("eve", "secret"),
    ] {
        assert_eq!(with_password(name, password), None, "{name} {password}");
    }
    assert_eq!(with_password(ANONYMOUS, ""), None);
    assert_eq!(policy.user_with_token("token").map(|user| user.name()), Some("ci"));
    assert!(policy.user_with_token("secret").is_none() && policy.user_with_token("").is_none());
    let certified: Vec<&str> =
        policy.users().filter(|user| user.has_certificate()).map(|user| user.name()).collect();
    assert_eq!((certified, policy.users().count()), (vec!["oslo"], 4));
    assert!(policy.user("eve").is_none());
    assert!(!format!("{policy:?}").contains(password.rsplit('$').next().unwrap()));
}

#[test]
fn no_user_has_the_password_of_nothing() {
    assert!(!PasswordHash::parse(&cheap()).unwrap().verify(""));
    let policy = Policy::parse("").unwrap();
    assert!(policy.user_with_password("ada", "").is_none());
    assert!(policy.users().next().is_none());
}

#[test]
fn roles_add_up_and_the_larger_limit_holds() {
    let policy = Policy::parse(
        "[[user]]\nname = 'anonymous'\nroles = ['one', 'two', 'one']\n\
         [[user]]\nname = 'none'\ncertificate = true\n\
         [role.one]\nstats = true\nconnections = 5\nmessages-per-second = 10\n\
         [role.two]\nadmin = true\nconnections = 3\nmessages-per-second = 1_000\n",
    )
    .unwrap();
    let grant = policy.user(ANONYMOUS).unwrap().grant();
    assert!(grant.stats() && grant.admin());
    let expected = GrantLimits {
        connections: Some(5),
        messages_per_second: Some(1_000),
        bytes_per_second: None,
    };
    assert_eq!(grant.limits(), expected);
    let none = policy.user("none").unwrap().grant();
    assert!(!none.stats() && !none.admin());
    assert_eq!(none.limits(), GrantLimits::default());
}
