//! The plugin's configuration: one JSON file beside its binary.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CONFIG;
use crate::engine::{Error, read_file};
use crate::image::{Depth, json};
use crate::limits::Limits;

/// Version of the file's format.
const VERSION: u32 = 1;

/// Bytes that are read of it.
const FILE_BYTES: u64 = 64 << 10;

const KEYS: &[&str] = &[
    "version",
    "policy",
    "plainHttp",
    "ca",
    "authFiles",
    "hosts",
    "depth",
    "deadlineMs",
    "cache",
    "dir",
    "maxBytes",
    "maxEntries",
    "listingSeconds",
];

/// What the plugin is told. Every path is absolute: containerd starts it in
/// whatever directory it stands in itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    version: u32,
    /// The policy that decides. Read anew for every pull.
    pub policy: PathBuf,
    /// Registries that are spoken to without TLS.
    #[serde(default, skip_serializing_if = "PlainHttp::is_none")]
    pub plain_http: PlainHttp,
    /// PEM files of certificates to trust beside the system's roots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca: Vec<PathBuf>,
    /// docker's config.json and its like, asked in this order; without one,
    /// those that the environment names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub auth_files: Vec<PathBuf>,
    /// containerd's directories of hosts (`certs.d`), the first that has the
    /// registry decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<PathBuf>,
    /// How deep images are recomputed; the policy may ask for more.
    #[serde(default = "manifests")]
    pub depth: Depth,
    /// Milliseconds until the plugin gives up by itself.
    #[serde(default = "deadline")]
    pub deadline_ms: u64,
    /// What is kept between pulls; without it nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheConfig>,
}

/// What is kept on disk between pulls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CacheConfig {
    /// Directory; made where it is missing.
    pub dir: PathBuf,
    /// Bytes of files kept.
    #[serde(default = "cache_bytes")]
    pub max_bytes: u64,
    /// Number of files kept.
    #[serde(default = "cache_entries")]
    pub max_entries: usize,
    /// Seconds for which the list of an image's signatures may serve again.
    #[serde(default = "listing_seconds")]
    pub listing_seconds: u64,
}

/// Registries without TLS. Loopback needs no mention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PlainHttp {
    /// All of them, or none.
    All(bool),
    /// These hosts, with their port where it is not 80.
    Hosts(Vec<String>),
}

impl Default for PlainHttp {
    fn default() -> Self {
        Self::All(false)
    }
}

impl PlainHttp {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `host` is spoken to without TLS.
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::All(all) => *all,
            Self::Hosts(hosts) => hosts.iter().any(|known| known == host),
        }
    }
}

fn manifests() -> Depth {
    Depth::Manifests
}

fn deadline() -> u64 {
    u64::try_from(Limits::default().verifier_deadline.as_millis()).unwrap_or(u64::MAX)
}

fn cache_bytes() -> u64 {
    Limits::default().shelf_bytes
}

fn cache_entries() -> usize {
    Limits::default().shelf_entries
}

fn listing_seconds() -> u64 {
    Limits::default().kept_listing.as_secs()
}

impl CacheConfig {
    /// A cache with the usual bounds.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            max_bytes: cache_bytes(),
            max_entries: cache_entries(),
            listing_seconds: listing_seconds(),
        }
    }
}

impl Config {
    /// The configuration for a policy, with everything else as usual.
    pub fn new(policy: PathBuf) -> Self {
        Self {
            version: VERSION,
            policy,
            plain_http: PlainHttp::default(),
            ca: Vec::new(),
            auth_files: Vec::new(),
            hosts: Vec::new(),
            depth: manifests(),
            deadline_ms: deadline(),
            cache: None,
        }
    }

    /// Where the configuration of a program lies: beside the program itself,
    /// links followed.
    pub fn beside(program: &Path) -> PathBuf {
        program.parent().unwrap_or(Path::new("/")).join(CONFIG)
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read, [`Error::Usage`] where it
    /// cannot be used.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let bytes = read_file(path, FILE_BYTES)?;
        let unusable = |why| Error::Usage(format!("the configuration `{}` {why}", path.display()));
        super::trusted::check(path).map_err(|why| unusable(format!("is not safe: {why}")))?;
        Self::parse(&bytes).map_err(unusable)
    }

    /// Parses a configuration, strictly: what it does not know is refused.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence about it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let scan = json::Scan { known: KEYS, maps: &[], max_depth: 4, integers_only: true };
        let config: Self =
            scan.decode(bytes).map_err(|error| format!("cannot be read: {error}"))?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), String> {
        if self.version != VERSION {
            let found = self.version;
            return Err(format!("has version {found}; this ocisign reads version {VERSION}"));
        }
        let cache = self.cache.iter().map(|cache| &cache.dir);
        let lists = self.ca.iter().chain(&self.auth_files).chain(&self.hosts);
        for path in lists.chain(cache).chain([&self.policy]) {
            if !path.is_absolute() {
                let path = path.display();
                return Err(format!("names `{path}`; write an absolute path"));
            }
        }
        let most = 600_000;
        if !(100..=most).contains(&self.deadline_ms) {
            let found = self.deadline_ms;
            return Err(format!("has a deadline of {found} ms; write 100 to {most}"));
        }
        Ok(())
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// How long the plugin works before it gives up.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut config = Config::new("/etc/ocisign/policy.json".into());
        assert_eq!(Config::parse(config.text().as_bytes()), Ok(config.clone()));
        config.plain_http = PlainHttp::Hosts(vec!["registry.example:5000".to_owned()]);
        config.cache = Some(CacheConfig::new("/var/cache/ocisign".into()));
        config.hosts = vec!["/etc/containerd/certs.d".into()];
        assert_eq!(Config::parse(config.text().as_bytes()), Ok(config));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let with = |more: &str| format!(r#"{{"version": 1, "policy": "/p.json"{more}}}"#);
        assert!(Config::parse(with("").as_bytes()).is_ok());
        for (more, why) in [
            (r#", "plainhttp": true"#, "in case only"),
            (r#", "insecure": true"#, "unknown field"),
            (r#", "policy": "/q.json""#, "policy"),
            (r#", "ca": ["ca.pem"]"#, "absolute"),
            (r#", "depth": "none""#, "unknown variant"),
            (r#", "deadlineMs": 5"#, "deadline"),
            (r#", "cache": {"dir": "cache"}"#, "absolute"),
            (r#", "cache": {"dir": "/c", "size": 1}"#, "unknown field"),
        ] {
            let refused = Config::parse(with(more).as_bytes()).unwrap_err();
            assert!(refused.contains(why), "{more}: {refused}");
        }
        for bad in [r#"{"version": 2, "policy": "/p"}"#, r#"{"version": 1, "policy": "p"}"#, "{}"] {
            assert!(Config::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn plain_http_is_for_the_hosts_that_are_named() {
        let some = PlainHttp::Hosts(vec!["a.example:5000".to_owned()]);
        assert!(some.covers("a.example:5000") && !some.covers("a.example"));
        assert!(!PlainHttp::default().covers("a.example"));
        assert!(PlainHttp::All(true).covers("a.example"));
    }
}
