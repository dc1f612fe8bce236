//! The worker's credentials: from the configuration to the sources, and from their news to the client and the pipeline.
//! Shows which source is in use and when it ends; never the credentials.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::config::{Config, CredentialSource, Secret};
use crate::oms::credentials::iam_token::IamUser;
use crate::oms::credentials::keeper::News;
use crate::oms::credentials::pod_identity::PodIdentity;
use crate::oms::credentials::refresh::Told;
use crate::oms::credentials::source::{Source, Sources};
use crate::oms::credentials::{Credentials, CredentialsError, Identity};
use crate::pipeline::credentials::CredentialNews;

use super::{Worker, WorkerError};

/// What `/status` tells of the credentials.
#[derive(Clone, Default, Debug)]
pub(super) struct CredentialStatus {
    pub(super) source: Option<&'static str>,
    pub(super) expires_at: Option<SystemTime>,
    pub(super) problem: Option<String>,
    pub(super) clock: Option<String>,
}

/// The sources that the configuration names, in the order in which they are asked.
pub(crate) fn sources(config: &Config, ca_pem: Option<&[u8]>) -> Result<Sources, WorkerError> {
    let (mut all, mut left_out) = (Vec::new(), Vec::new());
    match config.oms.credentials.source {
        CredentialSource::Auto => {
            use CredentialSource::{Cce, Ecs, File, Profile, Static};
            for kind in [Static, File, Profile, Cce, Ecs] {
                match source(config, kind)? {
                    Some(source) => all.push(source),
                    None => left_out.push(unset(kind).to_owned()),
                }
            }
        }
        named => all.extend(source(config, named)?),
    }
    Ok(Sources::new(all, left_out, ca_pem)?)
}

/// A source, if the configuration has what it needs.
fn source(config: &Config, kind: CredentialSource) -> Result<Option<Source>, CredentialsError> {
    let from = &config.oms.credentials;
    Ok(match kind {
        CredentialSource::Auto => None,
        CredentialSource::Static => {
            let keys = from.keys.as_ref().map(|keys| {
                let token = keys.security_token.as_ref().map(Secret::expose);
                Credentials::new(keys.access_key.expose(), keys.secret_key.expose(), token)
            });
            keys.transpose()?.map(|keys| Source::Given(Identity::Keys(keys)))
        }
        CredentialSource::File => Some(Source::File(from.directory.clone())),
        CredentialSource::Profile => from.profile_file.clone().map(Source::Profile),
        CredentialSource::Ecs => Some(Source::Ecs(from.metadata_endpoint.clone())),
        CredentialSource::Cce => {
            from.pod_identity.clone().map(|(url, token_file)| Source::Cce(PodIdentity { url, token_file }))
        }
        CredentialSource::Token => from.user.as_ref().map(|user| {
            Source::Token(IamUser {
                endpoint: from.iam_endpoint.clone(),
                domain: user.domain.clone(),
                name: user.name.clone(),
                password: Zeroizing::new(user.password.expose().to_owned()),
                project_id: config.oms.project_id.clone(),
            })
        }),
    })
}

/// Why `auto` does not look at a source.
fn unset(kind: CredentialSource) -> &'static str {
    match kind {
        CredentialSource::Cce => "cce: HC_CONTAINER_CREDENTIALS_FULL_URI is not set",
        CredentialSource::Profile => "profile: neither HUAWEICLOUD_SDK_CREDENTIALS_FILE nor HOME is set",
        _ => "static: no access key in the configuration or the environment",
    }
}

impl Worker {
    /// Something is new about the credentials: tells the log, the client and the pipeline, in this order.
    pub(super) fn credentials_changed(&mut self, told: Told) {
        let Told { news, source, expires_at, skew } = told;
        if let Some(skew) = skew.as_ref().filter(|_| self.credentials.clock.is_none()) {
            warn!("{skew}");
        }
        let problem = match &news {
            Some(News::Missing(why) | News::Problem(why)) => Some(why.clone()),
            Some(News::Offered(_)) | None => None,
        };
        self.credentials = CredentialStatus { source, expires_at, problem, clock: skew };
        self.metrics.show_credentials_expiry(expires_at.map(|at| at.duration_since(UNIX_EPOCH).unwrap_or_default()));
        let step = match news {
            None => return,
            Some(News::Problem(why)) => {
                warn!(source, "credentials cannot be renewed: {why}; those in use are used on, trying again");
                return;
            }
            Some(News::Missing(why)) => CredentialNews::Missing(why.into()),
            Some(News::Offered(identity)) => match self.oms.with_credentials(identity) {
                Ok(client) => {
                    let expires = expires_at.map(|at| humantime::format_rfc3339_seconds(at).to_string());
                    info!(source, expires, "credentials obtained");
                    self.candidate = Some(Arc::new(client));
                    CredentialNews::Offered
                }
                Err(why) => CredentialNews::Missing(why.to_string().into()),
            },
        };
        self.step(crate::pipeline::Input::Credentials(step));
    }
}
