//! Image manifests (aci.md, "Image Manifest Schema"), read by the letter.

use serde::Deserialize;

use super::grammar::{is_identifier, is_name, is_platform, is_variable, is_version};
use super::id::AciId;
use crate::image::Limits;
use crate::image::json::Scan;

/// Keys of a manifest that ocisign or an executor reads. The example in
/// aci.md spells one of them in two ways.
const KEYS: &[&str] = &[
    "acKind",
    "acVersion",
    "name",
    "labels",
    "app",
    "annotations",
    "dependencies",
    "pathWhitelist",
    "value",
    "exec",
    "eventHandlers",
    "user",
    "group",
    "supplementaryGIDs",
    "supplementaryGids",
    "workingDirectory",
    "environment",
    "mountPoints",
    "ports",
    "isolators",
    "userAnnotations",
    "userLabels",
    "path",
    "readOnly",
    "protocol",
    "port",
    "count",
    "socketActivated",
    "imageName",
    "imageID",
    "size",
];
const MAPS: &[&str] = &["userAnnotations", "userLabels"];

/// What an ACI says of itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AciManifest {
    ac_kind: String,
    ac_version: String,
    /// The name: an AC Identifier.
    pub name: String,
    /// Labels, each name once.
    #[serde(default)]
    pub labels: Vec<Pair>,
    /// How to run it, where it can be run.
    #[serde(default, deserialize_with = "present")]
    pub app: Option<App>,
    /// Annotations, each name once.
    #[serde(default)]
    pub annotations: Vec<Pair>,
    /// Images below this one.
    #[serde(default)]
    pub dependencies: Vec<Dependency>,
    /// The paths that the rendered image has; empty for all.
    #[serde(default)]
    pub path_whitelist: Vec<String>,
}

/// A name with a value: a label, an annotation, a variable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pair {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// How an image is run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    /// The program and its arguments.
    #[serde(default)]
    pub exec: Vec<String>,
    /// The user, by name, number or a file that it owns.
    pub user: String,
    /// The group.
    pub group: String,
    /// Further groups.
    #[serde(default, rename = "supplementaryGIDs", alias = "supplementaryGids")]
    pub supplementary_gids: Vec<u32>,
    /// What runs before and after.
    #[serde(default)]
    pub event_handlers: Vec<EventHandler>,
    /// Where it begins; absolute or empty.
    #[serde(default)]
    pub working_directory: String,
    /// Variables, each name once.
    #[serde(default)]
    pub environment: Vec<Pair>,
    /// Where data is mounted.
    #[serde(default)]
    pub mount_points: Vec<MountPoint>,
    /// Where it listens.
    #[serde(default)]
    pub ports: Vec<Port>,
    #[serde(default)]
    isolators: Vec<Isolator>,
    /// Free-form annotations.
    #[serde(default)]
    pub user_annotations: std::collections::BTreeMap<String, String>,
    /// Free-form labels.
    #[serde(default)]
    pub user_labels: std::collections::BTreeMap<String, String>,
}

/// A hook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct EventHandler {
    /// `pre-start` or `post-stop`.
    pub name: String,
    /// The program and its arguments.
    pub exec: Vec<String>,
}

/// A place for data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MountPoint {
    /// Its AC Name.
    pub name: String,
    /// Where it is in the root file system.
    pub path: String,
    /// Whether it is only read.
    #[serde(default)]
    pub read_only: bool,
}

/// A port or a run of ports.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Its AC Name.
    pub name: String,
    /// `tcp`, `udp` or another word.
    pub protocol: String,
    /// The first one.
    pub port: u16,
    /// How many there are.
    #[serde(default = "one")]
    pub count: u16,
    /// Whether sockets are passed in.
    #[serde(default)]
    pub socket_activated: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Isolator {
    name: String,
    #[serde(rename = "value")]
    _value: serde_json::Value,
}

/// An image that this one lies on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// Its name: an AC Identifier.
    pub image_name: String,
    #[serde(default, rename = "imageID", deserialize_with = "present")]
    image_id: Option<String>,
    /// Labels that it must have.
    #[serde(default)]
    pub labels: Vec<Pair>,
    /// Its bytes.
    #[serde(default, deserialize_with = "present")]
    pub size: Option<u64>,
}

impl Dependency {
    /// The image ID, where it is pinned by one.
    pub fn id(&self) -> Option<AciId> {
        AciId::parse(self.image_id.as_deref()?).ok()
    }
}

fn one() -> u16 {
    1
}

/// A value that may be left out, and is not `null`.
fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    d: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

impl AciManifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// The rule that it breaks, for people.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, String> {
        let scan =
            Scan { known: KEYS, maps: MAPS, max_depth: limits.json_depth, integers_only: false };
        let manifest: Self = scan.decode(bytes).map_err(|error| error.to_string())?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        value(&self.labels, name)
    }

    /// The value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        value(&self.annotations, name)
    }

    /// Name and labels on one line: `example.com/app,version=1.0,os=linux`.
    pub fn title(&self) -> String {
        self.labels.iter().fold(self.name.clone(), |mut title, Pair { name, value }| {
            title.push_str(&format!(",{name}={value}"));
            title
        })
    }

    fn check(&self) -> Result<(), String> {
        if self.ac_kind != "ImageManifest" {
            return Err(format!("acKind is `{}`; it must be `ImageManifest`", self.ac_kind));
        }
        if !is_version(&self.ac_version) {
            return Err(format!("acVersion `{}` is no version as in semver.org", self.ac_version));
        }
        identifier("name", &self.name)?;
        labels(&self.labels)?;
        annotations(&self.annotations)?;
        self.dependencies.iter().try_for_each(dependency)?;
        for path in &self.path_whitelist {
            if !path.starts_with('/') {
                return Err(format!("pathWhitelist: `{path}` is no absolute path"));
            }
        }
        self.app.as_ref().map_or(Ok(()), App::check)
    }
}

impl App {
    /// Whether it asks for bounds on what it may use or do.
    pub fn has_isolators(&self) -> bool {
        !self.isolators.is_empty()
    }

    fn check(&self) -> Result<(), String> {
        if self.user.is_empty() || self.group.is_empty() {
            return Err("app: user and group must be set".to_owned());
        }
        if !self.working_directory.is_empty() && !self.working_directory.starts_with('/') {
            return Err("app: workingDirectory must be an absolute path".to_owned());
        }
        if let Some(Pair { name, .. }) = self.environment.iter().find(|v| !is_variable(&v.name)) {
            return Err(format!("app: `{name}` is no name of a variable"));
        }
        once("app: the variable", self.environment.iter().map(|v| v.name.as_str()))?;
        once("app: the eventHandler", self.event_handlers.iter().map(|h| h.name.as_str()))?;
        for EventHandler { name, .. } in &self.event_handlers {
            if !matches!(name.as_str(), "pre-start" | "post-stop") {
                return Err(format!("app: the eventHandler `{name}` is none that there is"));
            }
        }
        for MountPoint { name, path, .. } in &self.mount_points {
            ac_name("mountPoints", name)?;
            if path.is_empty() {
                return Err(format!("app: the mountPoint `{name}` has no path"));
            }
        }
        self.ports.iter().try_for_each(Port::check)?;
        self.isolators.iter().try_for_each(|isolator| identifier("isolators", &isolator.name))
    }
}

impl Port {
    fn check(&self) -> Result<(), String> {
        let Self { name, protocol, port, count, .. } = self;
        ac_name("ports", name)?;
        if protocol.is_empty() {
            return Err(format!("app: the port `{name}` has no protocol"));
        }
        // the last one is port + count - 1
        if *port == 0 || *count == 0 || port.checked_add(count - 1).is_none() {
            return Err(format!("app: the port `{name}` is not between 1 and 65535"));
        }
        Ok(())
    }
}

fn dependency(dependency: &Dependency) -> Result<(), String> {
    identifier("dependencies: imageName", &dependency.image_name)?;
    labels(&dependency.labels)?;
    if let Some(id) = &dependency.image_id {
        AciId::parse(id).map_err(|error| format!("dependencies: {error}"))?;
    }
    Ok(())
}

fn labels(labels: &[Pair]) -> Result<(), String> {
    for Pair { name, .. } in labels {
        identifier("label", name)?;
        if name == "name" {
            return Err("a label must not be called `name`".to_owned());
        }
    }
    once("the label", labels.iter().map(|label| label.name.as_str()))?;
    match (value(labels, "os"), value(labels, "arch")) {
        (Some(os), arch) if !is_platform(os, arch) => {
            let arch = arch.unwrap_or("any");
            Err(format!("os `{os}` with arch `{arch}` is none that appc knows"))
        }
        _ => Ok(()),
    }
}

fn annotations(annotations: &[Pair]) -> Result<(), String> {
    for Pair { name, .. } in annotations {
        identifier("annotation", name)?;
    }
    once("the annotation", annotations.iter().map(|pair| pair.name.as_str()))?;
    if let Some(created) = value(annotations, "created")
        && created.parse::<jiff::Timestamp>().is_err()
    {
        return Err(format!("the annotation created `{created}` is no time of RFC 3339"));
    }
    for name in ["homepage", "documentation"] {
        let url = value(annotations, name);
        if url.is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            return Err(format!("the annotation {name} is no http or https URL"));
        }
    }
    Ok(())
}

fn identifier(what: &str, text: &str) -> Result<(), String> {
    if is_identifier(text) {
        return Ok(());
    }
    let text: String = text.chars().take(80).collect();
    Err(format!("{what}: `{text}` is no AC Identifier: lower-case words with one of -._~/ between"))
}

fn ac_name(what: &str, text: &str) -> Result<(), String> {
    if is_name(text) {
        return Ok(());
    }
    let text: String = text.chars().take(80).collect();
    Err(format!("{what}: `{text}` is no AC Name: lower-case words with one - between"))
}

fn once<'t>(what: &str, names: impl Iterator<Item = &'t str>) -> Result<(), String> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("{what} `{name}` stands twice"));
        }
    }
    Ok(())
}

fn value<'p>(pairs: &'p [Pair], name: &str) -> Option<&'p str> {
    pairs.iter().find(|pair| pair.name == name).map(|pair| pair.value.as_str())
}
