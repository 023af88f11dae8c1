//! The objects of a cluster that hold the certificate: one Secret, and the
//! webhook configurations that trust it.

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::standing::Material;
use super::wire::{Change, How, Wire};
use super::{CertificateError, Issued};
use crate::limits::Limits;
use crate::webhook::secrets::is_name;

/// When the authorities or the certificate of a Secret last changed; also the
/// mark of a Secret that this program looks after.
const CHANGED: &str = "ocisign/certificate-changed";

/// Where the certificate lies and who calls the server that shows it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Namespace of Service and Secret.
    pub namespace: String,
    /// The Service that the API server calls.
    pub service: String,
    /// Names beside the Service's, for configurations that call a URL.
    pub hosts: Vec<String>,
    /// The Secret.
    pub secret: String,
    /// The configurations that trust it.
    pub configurations: Vec<Configuration>,
}

/// A webhook configuration, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Configuration {
    /// `ValidatingWebhookConfiguration`
    Validating(String),
    /// `MutatingWebhookConfiguration`
    Mutating(String),
}

/// The objects of a cluster, with the rights of this process.
pub struct Objects {
    wire: Wire,
    pub(super) target: Target,
}

/// The Secret as it was read.
pub(super) struct Held {
    pub(super) version: Version,
    pub(super) material: Material,
    pub(super) changed: Option<Timestamp>,
}

/// What a change of the Secret is based on.
#[derive(PartialEq, Eq)]
pub(super) enum Version {
    /// There was none.
    Absent,
    /// Its `resourceVersion`.
    Read(String),
}

impl Target {
    /// Every name that the certificate must be good for.
    pub fn names(&self) -> Vec<String> {
        let service = format!("{}.{}.svc", self.service, self.namespace);
        std::iter::once(service).chain(self.hosts.iter().cloned()).collect()
    }
}

impl std::fmt::Display for Configuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Validating(name) => write!(f, "ValidatingWebhookConfiguration `{name}`"),
            Self::Mutating(name) => write!(f, "MutatingWebhookConfiguration `{name}`"),
        }
    }
}

impl Objects {
    /// Objects that this client may read and change.
    ///
    /// # Errors
    /// [`CertificateError::Name`] where an object cannot have such a name.
    pub fn new(
        client: kube::Client,
        target: Target,
        limits: &Limits,
    ) -> Result<Self, CertificateError> {
        let configurations = target.configurations.iter().map(Configuration::name);
        let own = [target.namespace.as_str(), &target.service, &target.secret];
        let wrong = own.into_iter().chain(configurations).find(|name| !is_name(name));
        if let Some(wrong) = wrong.map(str::to_owned) {
            return Err(CertificateError::Name(wrong));
        }
        Ok(Self { wire: Wire::new(client, limits), target })
    }

    /// Reads the Secret.
    pub(super) async fn secret(&self) -> Result<Held, CertificateError> {
        let path = self.secrets() + "/" + &self.target.secret;
        let Some(secret) = self.wire.get(&self.secret_name(), &path).await? else {
            let (version, material) = (Version::Absent, Material::default());
            return Ok(Held { version, material, changed: None });
        };
        let secret = self.decoded(&secret)?;
        let data =
            |key| secret.data.as_ref().and_then(|all| all.get(key)).map_or(&[][..], |v| &v.0);
        let material = Material::read(data("ca.crt"), data("tls.crt"), data("tls.key"));
        let mark = secret.metadata.annotations.as_ref().and_then(|all| all.get(CHANGED));
        if mark.is_none() && !material.is_empty() {
            return Err(CertificateError::Foreign(self.secret_name()));
        }
        let changed = mark.and_then(|text| text.parse().ok());
        Ok(Held { version: Version::of(&secret), material, changed })
    }

    /// Writes the authorities, and the certificate if there is a new one,
    /// where nobody else did meanwhile.
    pub(super) async fn write(
        &self,
        version: &Version,
        authorities: &[String],
        issued: Option<&Issued>,
        now: Timestamp,
    ) -> Result<Change<Version>, CertificateError> {
        let bytes = |text: &str| json!(ByteString(text.as_bytes().to_vec()));
        let ca = bytes(&authorities.concat());
        let data = match issued {
            None => json!({ "ca.crt": ca }),
            Some(Issued { certificate, key, .. }) => {
                json!({ "ca.crt": ca, "tls.crt": bytes(certificate), "tls.key": bytes(key) })
            }
        };
        let annotations = json!({ CHANGED: now.to_string() });
        let name = &self.target.secret;
        let (path, how, secret) = match version {
            Version::Absent => {
                let metadata = json!({ "name": name, "annotations": annotations });
                let secret = json!({ "apiVersion": "v1", "kind": "Secret",
                    "type": "kubernetes.io/tls", "metadata": metadata, "data": data });
                (self.secrets(), How::Create, secret)
            }
            Version::Read(version) => {
                // the API server answers 409 where the object has another version by now
                let metadata = json!({ "name": name, "annotations": annotations,
                    "resourceVersion": version });
                let secret = json!({ "apiVersion": "v1", "kind": "Secret",
                    "metadata": metadata, "data": data });
                (self.secrets() + "/" + name, How::Merge, secret)
            }
        };
        Ok(match self.wire.change(&self.secret_name(), &path, how, &secret).await? {
            Change::Made(secret) => Change::Made(Version::of(&self.decoded(&secret)?)),
            Change::Conflict | Change::Absent => Change::Conflict,
        })
    }

    /// Makes every webhook of a configuration that calls our server trust
    /// these authorities.
    pub(super) async fn publish(
        &self,
        configuration: &Configuration,
        authorities: &[String],
    ) -> Result<Change<Publication>, CertificateError> {
        let (what, path) = (configuration.to_string(), configuration.path());
        let Some(found) = self.wire.get(&what, &path).await? else { return Ok(Change::Absent) };
        let bundle = json!(ByteString(authorities.concat().into()));
        let hooks = self.hooks(&found, configuration)?;
        let behind: Vec<_> = hooks
            .iter()
            .filter(|hook| json!(hook.client.bundle) != bundle)
            .map(|hook| json!({ "name": hook.name, "clientConfig": { "caBundle": bundle } }))
            .collect();
        if behind.is_empty() {
            return Ok(Change::Made(Publication::Already));
        }
        let version = found.pointer("/metadata/resourceVersion");
        let patch = json!({ "metadata": { "resourceVersion": version }, "webhooks": behind });
        Ok(match self.wire.change(&what, &path, How::Strategic, &patch).await? {
            Change::Made(_) => Change::Made(Publication::Changed),
            Change::Conflict => Change::Conflict,
            Change::Absent => Change::Absent,
        })
    }

    /// The webhooks of a configuration that call our server.
    fn hooks(
        &self,
        found: &Value,
        configuration: &Configuration,
    ) -> Result<Vec<Hook>, CertificateError> {
        let unrelated = || CertificateError::Unrelated(configuration.to_string());
        let hooks = Hooks::deserialize(found).map_err(|_| unrelated())?.webhooks;
        let ours: Vec<_> = hooks.into_iter().filter(|h| h.client.calls(&self.target)).collect();
        if ours.is_empty() { Err(unrelated()) } else { Ok(ours) }
    }

    fn secrets(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", self.target.namespace)
    }

    fn secret_name(&self) -> String {
        format!("secret `{}/{}`", self.target.namespace, self.target.secret)
    }

    /// What is wrong is not quoted: it may be the key.
    fn decoded(&self, secret: &Value) -> Result<Secret, CertificateError> {
        Secret::deserialize(secret).map_err(|_| CertificateError::Api {
            what: self.secret_name(),
            did: "read",
            reason: "the answer is another".to_owned(),
        })
    }
}

impl Version {
    fn of(secret: &Secret) -> Self {
        Self::Read(secret.metadata.resource_version.clone().unwrap_or_default())
    }
}

impl Configuration {
    fn name(&self) -> &str {
        match self {
            Self::Validating(name) | Self::Mutating(name) => name,
        }
    }

    fn path(&self) -> String {
        let kind = match self {
            Self::Validating(_) => "validatingwebhookconfigurations",
            Self::Mutating(_) => "mutatingwebhookconfigurations",
        };
        format!("/apis/admissionregistration.k8s.io/v1/{kind}/{}", self.name())
    }
}

/// Whether a configuration had to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publication {
    /// It trusts them now.
    Changed,
    /// It did before.
    Already,
}

#[derive(Deserialize)]
struct Hooks {
    #[serde(default)]
    webhooks: Vec<Hook>,
}

#[derive(Deserialize)]
struct Hook {
    name: String,
    #[serde(rename = "clientConfig")]
    client: ClientConfig,
}

#[derive(Deserialize)]
struct ClientConfig {
    service: Option<Service>,
    url: Option<String>,
    #[serde(rename = "caBundle")]
    bundle: Option<String>,
}

#[derive(Deserialize)]
struct Service {
    namespace: String,
    name: String,
}

impl ClientConfig {
    fn calls(&self, target: &Target) -> bool {
        let service = self
            .service
            .as_ref()
            .is_some_and(|s| s.namespace == target.namespace && s.name == target.service);
        let host = self.url.as_deref().and_then(|url| url::Url::parse(url).ok());
        let host = host.as_ref().and_then(url::Url::host_str).map(|h| h.trim_matches(['[', ']']));
        service || host.is_some_and(|host| target.hosts.iter().any(|other| other == host))
    }
}
