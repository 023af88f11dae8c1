//! The secrets of one pod, as credentials.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use zeroize::Zeroize as _;

use super::api::{Trouble, place};
use crate::image::{Digest, Repository};
use crate::store::StoreError;
use crate::store::auth::{Credential, Credentials, DockerConfig};

/// The two types of pull secrets, with the key that each one's data is under
/// (Kubernetes, "Secrets", "Docker config Secrets").
const JSON: (&str, &str) = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson");
const LEGACY: (&str, &str) = ("kubernetes.io/dockercfg", ".dockercfg");

/// One pull secret.
pub(super) struct PullSecret {
    place: String,
    config: DockerConfig,
    digest: Digest,
    bytes: usize,
}

/// Why a name gives no credentials. No error by itself: the kubelet goes on
/// without a secret that does not exist, and an image that needs no
/// credentials needs no right to read them. It is one for a registry that
/// wants credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) place: String,
    pub(super) reason: String,
}

impl Notice {
    pub(super) fn absent(namespace: &str, name: &str) -> Self {
        let place = place::<Secret>(namespace, name);
        Self { place, reason: "it does not exist; create it".to_owned() }
    }
}

impl PullSecret {
    /// Reads a secret; a notice where it is one that the kubelet passes over.
    pub(super) fn read(
        namespace: &str,
        name: &str,
        mut secret: Secret,
    ) -> Result<Result<Self, Notice>, Trouble> {
        let place = place::<Secret>(namespace, name);
        let kind = secret.type_.take().unwrap_or_default();
        let mut data = secret.data.take().unwrap_or_default();
        let (parse, key): (fn(&[u8]) -> _, _) = match kind.as_str() {
            kind if kind == LEGACY.0 => (DockerConfig::parse_legacy, LEGACY.1),
            kind if kind == JSON.0 => (DockerConfig::parse, JSON.1),
            _ => {
                let reason = format!("its type is neither `{}` nor `{}`", JSON.0, LEGACY.0);
                return Ok(Err(Notice { place, reason }));
            }
        };
        let read = match data.get(key).map(|value| value.0.as_slice()) {
            None | Some([]) => {
                let reason = format!("it has no `{key}`; create it again");
                Ok(Err(Notice { place, reason }))
            }
            Some(text) => match parse(text) {
                Ok(config) => {
                    let digest = Digest::sha256(text);
                    Ok(Ok(Self { place, config, digest, bytes: text.len() }))
                }
                Err(error) => Err(Trouble::Unusable { place, reason: error.to_string() }),
            },
        };
        data.values_mut().for_each(|value| value.0.zeroize());
        read
    }

    /// Bytes of memory, about: text and map.
    pub(super) fn weight(&self) -> usize {
        self.bytes.saturating_mul(3)
    }
}

/// The credentials of one pod.
pub(super) struct Ring {
    pub(super) secrets: Vec<Arc<PullSecret>>,
    pub(super) notices: Vec<Notice>,
    fallback: Arc<dyn Credentials>,
}

impl Ring {
    pub(super) fn new(fallback: Arc<dyn Credentials>) -> Self {
        Self { secrets: Vec::new(), notices: Vec::new(), fallback }
    }

    /// Whether it is no more than the fallback.
    pub(super) fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.notices.is_empty()
    }

    /// A digest over where the secrets are and what is in them. The place is
    /// part of it because errors name it: no namespace is told of another's.
    pub(super) fn id(&self) -> Digest {
        let mut lines = String::new();
        for secret in &self.secrets {
            lines.push_str(&format!("{} {}\n", secret.place, secret.digest));
        }
        for notice in &self.notices {
            lines.push_str(&format!("{} {}\n", notice.place, notice.reason));
        }
        Digest::sha256(lines.as_bytes())
    }
}

#[async_trait]
impl Credentials for Ring {
    /// The first secret with an entry for the repository answers, then the
    /// fallback. Where none does, what was passed over is the reason.
    async fn lookup(&self, repository: &Repository) -> Result<Option<Credential>, StoreError> {
        let mut passed = self.notices.first().cloned();
        for secret in &self.secrets {
            match secret.config.credential(repository) {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) => {
                    passed =
                        Some(Notice { place: secret.place.clone(), reason: error.to_string() });
                }
            }
        }
        match (self.fallback.lookup(repository).await?, passed) {
            (Some(found), _) => Ok(Some(found)),
            (None, None) => Ok(None),
            (None, Some(Notice { place, reason })) => {
                Err(StoreError::Unauthorized { place, reason })
            }
        }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<&str> = self.secrets.iter().map(|secret| secret.place.as_str()).collect();
        f.debug_struct("Ring").field("secrets", &places).field("notices", &self.notices).finish()
    }
}
