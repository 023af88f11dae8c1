//! The config of an OCI image for an ACI, by a fixed rule: what both formats
//! can say is said, and what only appc can say is listed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{AciLayer, AciManifest, App, tree};
use crate::image::Platform;

/// What an ACI says, said as an OCI image says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AciConfig {
    /// The config, in canonical JSON (RFC 8785).
    pub bytes: Vec<u8>,
    /// Annotations for the manifest.
    pub annotations: BTreeMap<String, String>,
    /// What an OCI image has no place for.
    pub lost: Vec<String>,
}

/// Most ports, each of which a config names: few lines of a manifest could
/// open very many.
const MAX_PORTS: u64 = 1 << 16;

/// Annotations of appc that have a name in OCI (image-spec, annotations.md).
const ANNOTATIONS: &[(&str, &str)] = &[
    ("authors", "org.opencontainers.image.authors"),
    ("created", "org.opencontainers.image.created"),
    ("documentation", "org.opencontainers.image.documentation"),
    ("homepage", "org.opencontainers.image.url"),
];

/// Says what the manifest of an ACI says. `platform` is for an image whose
/// labels state none.
///
/// # Errors
/// What an OCI image cannot say and would run otherwise without, for people.
pub fn config(
    manifest: &AciManifest,
    layer: &AciLayer,
    platform: Option<&Platform>,
) -> Result<AciConfig, String> {
    if !manifest.dependencies.is_empty() {
        return Err(
            "it lies on other images (`dependencies`), which a layer alone does not have; \
                    render it into one image first"
                .to_owned(),
        );
    }
    if !manifest.path_whitelist.is_empty() {
        return Err("its `pathWhitelist` leaves files out, and a layer has all of them; build it \
                    without those files"
            .to_owned());
    }
    // a config must state both
    let platform = tree::platform(manifest)
        .filter(|own| !own.architecture.is_empty())
        .or_else(|| platform.cloned())
        .ok_or("its labels state no os and arch; say what it is for with `--platform OS/ARCH`")?;
    let mut config = Map::new();
    config.insert("architecture".to_owned(), platform.architecture.into());
    config.insert("os".to_owned(), platform.os.into());
    if let Some(variant) = platform.variant {
        config.insert("variant".to_owned(), variant.into());
    }
    if let Some(created) = manifest.annotation("created") {
        config.insert("created".to_owned(), created.into());
    }
    if let Some(authors) = manifest.annotation("authors") {
        config.insert("author".to_owned(), authors.into());
    }
    let mut lost = Vec::new();
    let open = manifest.app.iter().flat_map(|app| &app.ports).map(|port| u64::from(port.count));
    if open.sum::<u64>() > MAX_PORTS {
        return Err(format!("it opens more than {MAX_PORTS} ports"));
    }
    let run = manifest.app.as_ref().map_or_else(Map::new, |app| run(app, &mut lost));
    config.insert("config".to_owned(), run.into());
    config.insert(
        "rootfs".to_owned(),
        json!({"type": "layers", "diff_ids": [layer.digest.to_string()]}),
    );
    let bytes = serde_json_canonicalizer::to_vec(&config).map_err(|error| error.to_string())?;
    Ok(AciConfig { bytes, annotations: annotations(manifest), lost })
}

fn annotations(manifest: &AciManifest) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut say = |key: &str, value: &str| all.insert(key.to_owned(), value.to_owned());
    say("org.opencontainers.image.title", &manifest.name);
    if let Some(version) = manifest.label("version") {
        say("org.opencontainers.image.version", version);
    }
    for (own, oci) in ANNOTATIONS {
        if let Some(value) = manifest.annotation(own) {
            say(oci, value);
        }
    }
    all
}

/// How it is run (image-spec, config.md).
fn run(app: &App, lost: &mut Vec<String>) -> Map<String, Value> {
    let mut config = Map::new();
    let user = match (app.user.as_str(), app.group.as_str()) {
        ("0" | "root", "0" | "root") => "0:0".to_owned(),
        (user, group) => format!("{user}:{group}"),
    };
    if user.contains('/') {
        lost.push(format!("it runs as the owner of a file (`{user}`); set the user again"));
    } else {
        config.insert("User".to_owned(), user.into());
    }
    if !app.exec.is_empty() {
        config.insert("Entrypoint".to_owned(), app.exec.clone().into());
    }
    if !app.environment.is_empty() {
        let all = app.environment.iter().map(|pair| format!("{}={}", pair.name, pair.value));
        config.insert("Env".to_owned(), all.collect::<Vec<_>>().into());
    }
    if !app.working_directory.is_empty() {
        config.insert("WorkingDir".to_owned(), app.working_directory.clone().into());
    }
    let set = |all: Vec<String>| -> Map<String, Value> {
        all.into_iter().map(|key| (key, json!({}))).collect()
    };
    let volumes = set(app.mount_points.iter().map(|point| point.path.clone()).collect());
    if !volumes.is_empty() {
        config.insert("Volumes".to_owned(), volumes.into());
    }
    let ports = set(app.ports.iter().flat_map(ports).collect());
    if !ports.is_empty() {
        config.insert("ExposedPorts".to_owned(), ports.into());
    }
    for (what, any) in [
        ("eventHandlers", !app.event_handlers.is_empty()),
        ("isolators", app.has_isolators()),
        ("supplementaryGIDs", !app.supplementary_gids.is_empty()),
        ("userAnnotations", !app.user_annotations.is_empty()),
        ("userLabels", !app.user_labels.is_empty()),
        ("mountPoints that are read-only", app.mount_points.iter().any(|point| point.read_only)),
        ("ports with socketActivated", app.ports.iter().any(|port| port.socket_activated)),
    ] {
        if any {
            lost.push(format!("an OCI image has no {what}"));
        }
    }
    config
}

fn ports(port: &super::Port) -> Vec<String> {
    let last = port.port.saturating_add(port.count - 1);
    (port.port..=last).map(|number| format!("{number}/{}", port.protocol)).collect()
}
