//! The objects of a cluster that hold the certificate: one Secret, and the
//! webhook configurations that trust it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Client, Config, Error, ResourceExt as _};
use serde::Deserialize;
use serde_json::json;

use super::standing::Material;
use super::{CertificateError, Issued};

/// When the authorities or the certificate of a Secret last changed; also the
/// mark of a Secret that this program looks after.
const CHANGED: &str = "ocisign.dev/certificate-changed";

/// Whose field the change is, for `kubectl get --show-managed-fields`.
const MANAGER: &str = "ocisign-certificate";

/// Longest wait for one answer of the API server.
const PATIENCE: Duration = Duration::from_secs(15);

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

/// A cluster, spoken to with the rights of this process.
pub struct Cluster {
    client: Client,
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

/// How a change ended.
pub(super) enum Change<T> {
    /// Made.
    Made(T),
    /// Somebody else was quicker.
    Conflict,
    /// The object is not there.
    Absent,
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

impl Cluster {
    /// The cluster that this process runs in, or that `KUBECONFIG` names.
    ///
    /// # Errors
    /// [`CertificateError::NoCluster`] where there is none.
    pub async fn connect(target: Target) -> Result<Self, CertificateError> {
        let none = |error: &dyn std::error::Error| CertificateError::NoCluster(error.to_string());
        let mut config = Config::infer().await.map_err(|error| none(&error))?;
        config.connect_timeout = Some(PATIENCE);
        config.read_timeout = Some(PATIENCE);
        let client = Client::try_from(config).map_err(|error| none(&error))?;
        Ok(Self { client, target })
    }

    /// Reads the Secret.
    pub(super) async fn secret(&self) -> Result<Held, CertificateError> {
        let name = &self.target.secret;
        let found = self.secrets().get_opt(name).await;
        let Some(secret) = found.map_err(|e| self.failed("read", &self.secret_name(), e))? else {
            let (version, material) = (Version::Absent, Material::default());
            return Ok(Held { version, material, changed: None });
        };
        let data =
            |key| secret.data.as_ref().and_then(|all| all.get(key)).map_or(&[][..], |v| &v.0);
        let material = Material::read(data("ca.crt"), data("tls.crt"), data("tls.key"));
        let mark = secret.annotations().get(CHANGED);
        if mark.is_none() && !material.is_empty() {
            return Err(CertificateError::Foreign(self.secret_name()));
        }
        Ok(Held {
            version: Version::Read(secret.resource_version().unwrap_or_default()),
            material,
            changed: mark.and_then(|text| text.parse().ok()),
        })
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
        let mut data = vec![("ca.crt", authorities.concat())];
        if let Some(issued) = issued {
            data.push(("tls.crt", issued.certificate.clone()));
            data.push(("tls.key", issued.key.as_str().to_owned()));
        }
        let data: serde_json::Map<_, _> =
            data.into_iter().map(|(k, v)| (k.to_owned(), json!(ByteString(v.into())))).collect();
        let mut secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": self.target.secret, "annotations": { CHANGED: now.to_string() } },
            "data": data,
        });
        let done = match version {
            Version::Absent => self.create(secret).await,
            Version::Read(version) => {
                // the API server answers 409 where the object has another version by now
                secret["metadata"]["resourceVersion"] = json!(version);
                let params = PatchParams { field_manager: manager(), ..PatchParams::default() };
                self.secrets().patch(&self.target.secret, &params, &Patch::Merge(secret)).await
            }
        };
        let version = |secret: Secret| Version::Read(secret.resource_version().unwrap_or_default());
        changed(done).map_err(|e| self.failed("written", &self.secret_name(), e)).map(|c| match c {
            Change::Made(secret) => Change::Made(version(secret)),
            Change::Conflict | Change::Absent => Change::Conflict,
        })
    }

    async fn create(&self, mut secret: serde_json::Value) -> Result<Secret, Error> {
        secret["type"] = json!("kubernetes.io/tls");
        let secret = serde_json::from_value(secret).map_err(Error::SerdeError)?;
        let params = PostParams { field_manager: manager(), ..PostParams::default() };
        self.secrets().create(&params, &secret).await
    }

    /// Makes every webhook of a configuration that calls our server trust
    /// these authorities; [`Change::Made`] says whether anything was changed.
    pub(super) async fn publish(
        &self,
        configuration: &Configuration,
        authorities: &[String],
    ) -> Result<Change<Publication>, CertificateError> {
        let (api, name) = self.configurations(configuration);
        let failed = |did, error| self.failed(did, &configuration.to_string(), error);
        let Some(found) = api.get_opt(name).await.map_err(|e| failed("read", e))? else {
            return Ok(Change::Absent);
        };
        let bundle = json!(ByteString(authorities.concat().into()));
        let hooks = self.hooks(&found, configuration)?;
        let behind: Vec<_> = hooks.iter().filter(|h| json!(h.client.bundle) != bundle).collect();
        if behind.is_empty() {
            return Ok(Change::Made(Publication::Already));
        }
        let hook =
            |h: &&Hook| json!({ "name": h.name, "clientConfig": { "caBundle": bundle.clone() } });
        let patch = json!({
            "metadata": { "resourceVersion": found.resource_version() },
            "webhooks": behind.iter().map(hook).collect::<Vec<_>>(),
        });
        let params = PatchParams { field_manager: manager(), ..PatchParams::default() };
        let done = api.patch(name, &params, &Patch::Strategic(patch)).await;
        Ok(match changed(done).map_err(|e| failed("written", e))? {
            Change::Made(_) => Change::Made(Publication::Changed),
            Change::Conflict => Change::Conflict,
            Change::Absent => Change::Absent,
        })
    }

    /// The webhooks of a configuration that call our server.
    fn hooks(
        &self,
        found: &DynamicObject,
        configuration: &Configuration,
    ) -> Result<Vec<Hook>, CertificateError> {
        let unrelated = || CertificateError::Unrelated(configuration.to_string());
        let hooks = Hooks::deserialize(&found.data).map_err(|_| unrelated())?.webhooks;
        let ours: Vec<_> = hooks.into_iter().filter(|h| h.client.calls(&self.target)).collect();
        if ours.is_empty() { Err(unrelated()) } else { Ok(ours) }
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.target.namespace)
    }

    fn configurations<'a>(&self, of: &'a Configuration) -> (Api<DynamicObject>, &'a str) {
        let (kind, name) = match of {
            Configuration::Validating(name) => {
                (ApiResource::erase::<ValidatingWebhookConfiguration>(&()), name)
            }
            Configuration::Mutating(name) => {
                (ApiResource::erase::<MutatingWebhookConfiguration>(&()), name)
            }
        };
        (Api::all_with(self.client.clone(), &kind), name)
    }

    fn secret_name(&self) -> String {
        format!("{}/{}", self.target.namespace, self.target.secret)
    }

    fn failed(&self, did: &str, object: &str, error: Error) -> CertificateError {
        let object = if object.contains('`') { object.to_owned() } else { format!("`{object}`") };
        CertificateError::Api { what: format!("{object} cannot be {did}"), source: Box::new(error) }
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

fn manager() -> Option<String> {
    Some(MANAGER.to_owned())
}

fn changed<T>(done: Result<T, Error>) -> Result<Change<T>, Error> {
    match done {
        Ok(done) => Ok(Change::Made(done)),
        Err(Error::Api(status)) if status.code == 409 => Ok(Change::Conflict),
        Err(Error::Api(status)) if status.code == 404 => Ok(Change::Absent),
        Err(error) => Err(error),
    }
}
