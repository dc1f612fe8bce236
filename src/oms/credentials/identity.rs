//! Access keys and tokens, checked once and never printed. Pure.

use std::fmt;

use zeroize::Zeroizing;

/// An access key with its secret and, for temporary credentials, the security token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    access_key: Zeroizing<String>,
    secret_key: Zeroizing<String>,
    security_token: Option<Zeroizing<String>>,
}

/// Why credentials cannot be used. Never holds the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Nothing is left once blanks at the ends are removed.
    #[error("the {0} is empty: set it")]
    Empty(Part),
    /// A blank, a line end or a control character inside.
    #[error("the {0} holds a blank or a control character inside: copy it again, without anything around it")]
    Blank(Part),
    /// It goes into a header, which must be ASCII.
    #[error("the {0} holds a character that is not ASCII: copy it again, without anything around it")]
    NotAscii(Part),
}

/// One part of the credentials, as messages name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The access key id (AK).
    AccessKey,
    /// The secret access key (SK).
    SecretKey,
    /// The token of temporary credentials.
    SecurityToken,
    /// A token of IAM.
    AuthToken,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccessKey => "access key",
            Self::SecretKey => "secret key",
            Self::SecurityToken => "security token",
            Self::AuthToken => "IAM token",
        })
    }
}

/// What a request proves itself with. Neither is ever printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Identity {
    /// A signature made with an access key.
    Keys(Credentials),
    /// A token of IAM, sent as it is.
    Token(AuthToken),
}

/// A token of IAM, for the header `X-Auth-Token`.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthToken(Zeroizing<String>);

impl AuthToken {
    /// Trims it; it must be what can go into a header.
    pub fn new(text: &str) -> Result<Self, CredentialsError> {
        Ok(Self(header_text(text, Part::AuthToken)?))
    }

    /// The token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AuthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthToken(***)")
    }
}

impl From<Credentials> for Option<Identity> {
    fn from(credentials: Credentials) -> Self {
        Some(Identity::Keys(credentials))
    }
}

impl Identity {
    /// The part that an answer may echo and that must not be shown.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        match self {
            Self::Keys(credentials) => credentials.security_token(),
            Self::Token(token) => Some(token.expose()),
        }
    }
}

impl Credentials {
    /// Trims every part, because files and variables tend to end in a line end. An empty token is none.
    pub fn new(access_key: &str, secret_key: &str, security_token: Option<&str>) -> Result<Self, CredentialsError> {
        let security_token = security_token.map(str::trim).filter(|token| !token.is_empty());
        Ok(Self {
            access_key: header_text(access_key, Part::AccessKey)?,
            secret_key: Zeroizing::new(checked(secret_key, Part::SecretKey)?.to_owned()),
            security_token: security_token.map(|token| header_text(token, Part::SecurityToken)).transpose()?,
        })
    }

    /// The access key id.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The secret; its bytes are the HMAC key as they are.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// The token of temporary credentials.
    #[must_use]
    pub fn security_token(&self) -> Option<&str> {
        self.security_token.as_ref().map(|token| token.as_str())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key", &"***")
            .field("secret_key", &"***")
            .field("security_token", &self.security_token.as_ref().map(|_| "***"))
            .finish()
    }
}

fn checked(text: &str, part: Part) -> Result<&str, CredentialsError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(CredentialsError::Empty(part));
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(CredentialsError::Blank(part));
    }
    Ok(text)
}

fn header_text(text: &str, part: Part) -> Result<Zeroizing<String>, CredentialsError> {
    let text = checked(text, part)?;
    if text.is_ascii() { Ok(Zeroizing::new(text.to_owned())) } else { Err(CredentialsError::NotAscii(part)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_around_the_parts_are_removed() {
        let credentials = Credentials::new(" AK\n", "SK\r\n", Some("\tT\n")).unwrap();
        assert_eq!(credentials, Credentials::new("AK", "SK", Some("T")).unwrap());
    }

    #[test]
    fn an_empty_token_is_none() {
        assert_eq!(Credentials::new("AK", "SK", Some(" \n")).unwrap().security_token(), None);
    }

    #[test]
    fn what_cannot_be_right_is_refused_by_name() {
        let refused = |ak, sk, token| Credentials::new(ak, sk, token).unwrap_err();
        assert_eq!(refused("", "SK", None), CredentialsError::Empty(Part::AccessKey));
        assert_eq!(refused("AK", " ", None), CredentialsError::Empty(Part::SecretKey));
        assert_eq!(refused("A K", "SK", None), CredentialsError::Blank(Part::AccessKey));
        assert_eq!(refused("AK", "S\nK", None), CredentialsError::Blank(Part::SecretKey));
        assert_eq!(refused("AK", "SK", Some("a\u{7}b")), CredentialsError::Blank(Part::SecurityToken));
        assert_eq!(refused("AKé", "SK", None), CredentialsError::NotAscii(Part::AccessKey));
    }

    #[test]
    fn debug_shows_no_part() {
        let text = format!("{:?}", Credentials::new("ACCESS", "SECRET", Some("TOKEN")).unwrap());
        for part in ["ACCESS", "SECRET", "TOKEN"] {
            assert!(!text.contains(part), "{text}");
        }
    }
}
