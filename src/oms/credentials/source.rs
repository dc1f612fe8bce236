//! The sources of credentials, each asked in one attempt, and `auto`, which takes the first that is there. Decides nothing
//! about when to ask; never shows what it was given.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::ask::Asker;
use super::{Identity, files, iam_token, metadata, pod_identity};

/// Where credentials can come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Written in the configuration or the environment; never changes.
    Given(Identity),
    /// A directory with `access-key`, `secret-key` and perhaps `security-token`, such as a mounted Secret.
    File(PathBuf),
    /// The profile file of Huawei Cloud's SDKs.
    Profile(PathBuf),
    /// The metadata service of an ECS, at this URL: the agency of the machine.
    Ecs(String),
    /// The pod identity service of CCE.
    Cce(pod_identity::PodIdentity),
    /// A token of IAM for a user's password.
    Token(iam_token::IamUser),
}

/// What a source gave.
#[derive(Clone, Debug)]
pub struct Obtained {
    /// The credentials.
    pub identity: Identity,
    /// When they end, where they do.
    pub expiry: Option<Expiry>,
    /// Whether they were read as one, so that parts of two identities cannot be mixed.
    pub whole: bool,
    /// A sentence about this machine's clock, where it is off.
    pub skew: Option<String>,
}

/// The end of temporary credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expiry {
    /// When, as the source says.
    pub at: SystemTime,
    /// How long they last from now on, by the source's own clock where it tells the time.
    pub left: Duration,
}

/// Why a source gave nothing. The texts hold no secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not set up here: `auto` goes on to the next one.
    #[error("{0}")]
    Absent(String),
    /// It refuses; asking again soon may lock a user.
    #[error("{0}")]
    Refused(String),
    /// It is set up and gave nothing usable: asked again.
    #[error("{0}")]
    Unavailable(String),
}

impl Source {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Given(_) => "static",
            Self::File(_) => "file",
            Self::Profile(_) => "profile",
            Self::Ecs(_) => "ecs",
            Self::Cce(_) => "cce",
            Self::Token(_) => "token",
        }
    }

    /// Whether it is looked at every few seconds, because it does not say when it changes.
    #[must_use]
    pub fn is_polled(&self) -> bool {
        matches!(self, Self::File(_) | Self::Profile(_))
    }

    async fn ask(&self, asker: &Asker) -> Result<Obtained, SourceError> {
        match self {
            Self::Given(identity) => Ok(Obtained { identity: identity.clone(), expiry: None, whole: true, skew: None }),
            Self::File(directory) => files::apart(directory.clone(), files::read_directory).await,
            Self::Profile(file) => files::apart(file.clone(), files::read_profile).await,
            Self::Ecs(endpoint) => metadata::ask(asker, endpoint).await,
            Self::Cce(pod) => pod_identity::ask(asker, pod).await,
            Self::Token(user) => iam_token::ask(asker, user).await,
        }
    }
}

/// One source, or those of `auto` in their order. Once one gave credentials it is asked alone.
#[derive(Debug)]
pub struct Sources {
    asker: Asker,
    all: Vec<Source>,
    taken: Option<usize>,
    /// Why sources are left out that `auto` would look at, for people.
    left_out: Vec<String>,
}

impl Sources {
    /// The sources in the order in which they are asked; `ca_pem` are trust anchors besides the system's.
    pub fn new(all: Vec<Source>, left_out: Vec<String>, ca_pem: Option<&[u8]>) -> Result<Self, super::AskerError> {
        Ok(Self { asker: Asker::new(ca_pem)?, all, taken: None, left_out })
    }

    /// The source that gave the credentials.
    #[must_use]
    pub fn taken(&self) -> Option<&Source> {
        self.all.get(self.taken?)
    }

    /// Credentials that are there without asking anyone.
    #[must_use]
    pub fn given(&self) -> Option<&Identity> {
        match self.all.first() {
            Some(Source::Given(identity)) => Some(identity),
            _ => None,
        }
    }

    /// Asks once. A source that is set up and fails is not passed over for the next: that would be another identity.
    pub async fn obtain(&mut self) -> Result<Obtained, SourceError> {
        let mut absent = self.left_out.clone();
        for (at, source) in self.all.iter().enumerate() {
            if self.taken.is_some_and(|taken| taken != at) {
                continue;
            }
            let name = source.name();
            match source.ask(&self.asker).await {
                Ok(obtained) => {
                    self.taken = Some(at);
                    return Ok(obtained);
                }
                Err(SourceError::Absent(why)) => absent.push(format!("{name}: {why}")),
                Err(SourceError::Refused(why)) => return Err(SourceError::Refused(listed(absent, name, &why))),
                Err(SourceError::Unavailable(why)) => return Err(SourceError::Unavailable(listed(absent, name, &why))),
            }
        }
        Err(SourceError::Unavailable(format!("no credentials: {}", absent.join("; "))))
    }
}

fn listed(mut absent: Vec<String>, name: &str, why: &str) -> String {
    absent.push(format!("{name}: {why}"));
    format!("no credentials: {}", absent.join("; "))
}
