//! How a request says who sends it: `Basic` (RFC 7617) or `Bearer` (RFC 6750).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::problem::Problem;
use crate::codec::Credentials;

/// The credentials in the value of a field `Authorization`.
///
/// # Errors
/// Where it is of another scheme, or is none; nothing of it is in the error.
pub(crate) fn credentials(value: &[u8]) -> Result<Credentials<'static>, Problem> {
    let wrong = |what: &str| Problem::new(401, what);
    let text = std::str::from_utf8(value).unwrap_or_default();
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
        return Ok(Credentials::Token(rest.to_owned().into()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(wrong("Authorization is Basic, with a user and a password, or Bearer"));
    }
    let decoded = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (user, password) =
        pair.ok_or_else(|| wrong("Basic is followed by the Base64 of user:password in UTF-8"))?;
    Ok(Credentials::Password { user: user.to_owned().into(), password: password.to_owned().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_schemes_are_read_and_nothing_is_shown() {
        let Ok(Credentials::Password { user, password }) = credentials(b"bAsIc YWRhOmE6Yg==")
        else {
            panic!("it is a user with a password");
        };
        assert_eq!((&*user, &*password), ("ada", "a:b"));
        assert!(matches!(credentials(b"Bearer t0ken"), Ok(Credentials::Token(t)) if t == "t0ken"));
        for wrong in ["Basic s3cret", "Basic czNjcmV0", "Bearer", "Digest s3cret", "s3cret", ""] {
            let problem = credentials(wrong.as_bytes()).unwrap_err();
            assert_eq!(problem.status(), 401);
            assert!(!format!("{problem:?}").contains("s3cret"), "{wrong}");
        }
    }
}
