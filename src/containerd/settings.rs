//! containerd's configuration, as far as it says whether images are verified.
//!
//! Source: containerd 2.4, cmd/containerd/server/config and
//! internal/cri/config; docs/image-verification.md.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

use crate::engine::{Error, read_file};

/// Bytes of one file, and files with their imports, that are read.
const FILE_BYTES: u64 = 1 << 20;
const FILES: usize = 256;

/// The plugins that verification hangs on.
const BINDIR: &str = "io.containerd.image-verifier.v1.bindir";
const TRANSFER: &str = "io.containerd.transfer.v1.local";

/// Where the image settings of CRI stand, since version 3 and before it.
const IMAGES: &str = "io.containerd.cri.v1.images";
const CRI: &str = "io.containerd.grpc.v1.cri";

/// What concerns verification, imports included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// The files that were read; none where containerd has no configuration.
    pub(super) files: Vec<PathBuf>,
    pub(super) bin_dir: PathBuf,
    /// Negative: as many as there are.
    pub(super) max_verifiers: i64,
    pub(super) timeout: Duration,
    /// Directories of hosts that containerd uses.
    pub(super) hosts: Vec<PathBuf>,
    /// Plugins without which nothing is verified, and that are switched off.
    pub(super) disabled: Vec<String>,
    /// Settings by which CRI pulls around the verifiers.
    pub(super) bypasses: Vec<Bypass>,
}

/// One setting by which CRI pulls images itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bypass {
    pub(super) file: PathBuf,
    /// As it would be written: `discard_unpacked_layers = true`.
    pub(super) setting: String,
    /// What to do about it.
    pub(super) instead: &'static str,
}

impl Default for Settings {
    /// What containerd does without a configuration.
    fn default() -> Self {
        Self {
            files: Vec::new(),
            bin_dir: PathBuf::from("/opt/containerd/image-verifier/bin"),
            max_verifiers: 10,
            timeout: Duration::from_secs(10),
            hosts: Vec::new(),
            disabled: Vec::new(),
            bypasses: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads a configuration with all that it imports. A file that does not
    /// exist gives the defaults.
    ///
    /// A later file overrides an earlier one, except for what goes around
    /// the verifiers: that is told of wherever it stands.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Usage`] where a file cannot be read.
    pub(super) fn load(path: &Path) -> Result<Self, Error> {
        let mut settings = Self::default();
        if !path.exists() {
            return Ok(settings);
        }
        let mut pending = VecDeque::from([path.to_owned()]);
        let mut seen = BTreeSet::new();
        while let Some(path) = pending.pop_front() {
            if !seen.insert(path.clone()) {
                continue;
            }
            if seen.len() > FILES {
                let most = FILES;
                return Err(Error::Usage(format!("containerd imports more than {most} files")));
            }
            let unusable = |why| Error::Usage(format!("`{}` {why}", path.display()));
            let text = String::from_utf8(read_file(&path, FILE_BYTES)?)
                .map_err(|_| unusable("is no text".to_owned()))?;
            let one = parse(&text).map_err(unusable)?;
            pending.extend(imports(&path, &one.imports).map_err(unusable)?);
            settings.take(path.clone(), one);
        }
        Ok(settings)
    }

    fn take(&mut self, file: PathBuf, one: OneFile) {
        self.bin_dir = one.bin_dir.unwrap_or_else(|| self.bin_dir.clone());
        self.max_verifiers = one.max_verifiers.unwrap_or(self.max_verifiers);
        self.timeout = one.timeout.unwrap_or(self.timeout);
        self.hosts.extend(one.hosts);
        self.disabled.extend(one.disabled);
        let bypass = |(setting, instead)| Bypass { file: file.clone(), setting, instead };
        self.bypasses.extend(one.bypasses.into_iter().map(bypass));
        self.files.push(file);
    }
}

/// One file of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OneFile {
    imports: Vec<String>,
    bin_dir: Option<PathBuf>,
    max_verifiers: Option<i64>,
    timeout: Option<Duration>,
    hosts: Vec<PathBuf>,
    disabled: Vec<String>,
    bypasses: Vec<(String, &'static str)>,
}

/// Reads one file.
///
/// # Errors
/// What is wrong with it, as the end of a sentence about it.
pub(super) fn parse(text: &str) -> Result<OneFile, String> {
    let file: Table = text.parse().map_err(|error: toml::de::Error| {
        let said = crate::report::escaped(error.message());
        format!("is no TOML ({said}); correct it")
    })?;
    let mut one = OneFile {
        imports: texts(file.get("imports"), "imports")?,
        disabled: texts(file.get("disabled_plugins"), "disabled_plugins")?
            .into_iter()
            .filter(|plugin| plugin == BINDIR || plugin == TRANSFER)
            .collect(),
        ..OneFile::default()
    };
    let version = file.get("version").and_then(Value::as_integer).unwrap_or(1);
    let none = Table::new();
    let plugins = file.get("plugins").and_then(Value::as_table).unwrap_or(&none);
    let plugin = |name: &str| plugins.get(name).and_then(Value::as_table);
    if let Some(bindir) = plugin(BINDIR) {
        one.verifiers(bindir)?;
    }
    if let Some(transfer) = plugin(TRANSFER) {
        one.hosts(transfer);
    }
    if version >= 3 {
        let images = plugin(IMAGES);
        images.into_iter().for_each(|images| one.images(images, images));
    } else if let Some(cri) = plugin(CRI).or_else(|| plugin("cri")) {
        let inner = cri.get("containerd").and_then(Value::as_table);
        one.images(cri, inner.unwrap_or(&none));
    }
    Ok(one)
}

impl OneFile {
    fn verifiers(&mut self, table: &Table) -> Result<(), String> {
        self.bin_dir = table.get("bin_dir").and_then(Value::as_str).map(PathBuf::from);
        self.max_verifiers = table.get("max_verifiers").and_then(Value::as_integer);
        if let Some(timeout) = table.get("per_verifier_timeout") {
            let timeout = timeout.as_str().and_then(|text| text.parse().ok());
            let timeout = timeout.and_then(|span: jiff::SignedDuration| span.try_into().ok());
            let unknown = || "has a `per_verifier_timeout` that is no duration".to_owned();
            self.timeout = Some(timeout.ok_or_else(unknown)?);
        }
        Ok(())
    }

    /// `table` has the settings of images, `snapshots` those that stood in
    /// another table before version 3.
    fn images(&mut self, table: &Table, snapshots: &Table) {
        const SNAPSHOTTER: &str = "configure the snapshotter's plugin instead";
        const HOSTS: &str = "write `config_path` and a hosts.toml for each registry instead";
        let flag = |table: &Table, key: &str| table.get(key).and_then(Value::as_bool);
        let mut found = |setting: &str, instead| self.bypasses.push((setting.to_owned(), instead));
        if flag(snapshots, "disable_snapshot_annotations") == Some(false) {
            found("disable_snapshot_annotations = false", SNAPSHOTTER);
        }
        if flag(snapshots, "discard_unpacked_layers") == Some(true) {
            found("discard_unpacked_layers = true", "leave it out");
        }
        let registry = table.get("registry").and_then(Value::as_table);
        for key in ["mirrors", "configs", "auths"] {
            let part = registry.and_then(|registry| registry.get(key)?.as_table());
            if part.is_some_and(|part| !part.is_empty()) {
                found(&format!("registry.{key}"), HOSTS);
            }
        }
        let most = table.get("max_concurrent_downloads").and_then(Value::as_integer);
        if let Some(most) = most.filter(|most| *most != 3) {
            let instead = "set it for the plugin `io.containerd.transfer.v1.local` instead";
            found(&format!("max_concurrent_downloads = {most}"), instead);
        }
        for key in ["image_pull_with_sync_fs", "use_local_image_pull"] {
            if flag(table, key) == Some(true) {
                found(&format!("{key} = true"), "leave it out");
            }
        }
        registry.into_iter().for_each(|registry| self.hosts(registry));
    }

    fn hosts(&mut self, table: &Table) {
        let paths = table.get("config_path").and_then(Value::as_str).unwrap_or_default();
        let paths = paths.split(':').filter(|path| path.starts_with('/')).map(PathBuf::from);
        self.hosts.extend(paths);
    }
}

fn texts(value: Option<&Value>, name: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("has `{name}` that is no list of texts; correct it");
    let Some(value) = value else { return Ok(Vec::new()) };
    let list = value.as_array().ok_or_else(wrong)?;
    list.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

/// The files that a file imports: relative to it, patterns where there is a
/// star.
fn imports(parent: &Path, imports: &[String]) -> Result<Vec<PathBuf>, String> {
    let directory = parent.parent().unwrap_or(Path::new("/"));
    let mut files = Vec::new();
    for import in imports {
        let path = directory.join(import);
        let text = path.to_string_lossy();
        if !text.contains('*') {
            files.push(path);
            continue;
        }
        let bad = |_| format!("imports `{}`, which is no pattern", crate::report::escaped(import));
        files.extend(glob::glob(&text).map_err(bad)?.flatten());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bypasses(text: &str) -> Vec<String> {
        parse(text).unwrap().bypasses.into_iter().map(|(setting, _)| setting).collect()
    }

    #[test]
    fn what_containerd_writes_by_default_bypasses_nothing() {
        let version_3 = r#"
version = 3
[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  disable_snapshot_annotations = true
  discard_unpacked_layers = false
  max_concurrent_downloads = 3
  image_pull_with_sync_fs = false
  use_local_image_pull = false
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = '/etc/containerd/certs.d:/etc/docker/certs.d'
"#;
        let one = parse(version_3).unwrap();
        assert_eq!(one.bypasses, []);
        let hosts = ["/etc/containerd/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
        assert_eq!(one.hosts, hosts);
        assert_eq!(parse("").unwrap(), OneFile::default());
    }

    #[test]
    fn every_setting_that_goes_around_is_found_in_both_versions() {
        let settings = [
            ("", "disable_snapshot_annotations = false"),
            ("", "discard_unpacked_layers = true"),
            ("registry.mirrors", "\"docker.io\" = {endpoint = []}"),
            ("registry.configs", "\"docker.io\" = {}"),
            ("registry.auths", "\"https://a.example\" = {}"),
            ("", "max_concurrent_downloads = 5"),
            ("", "image_pull_with_sync_fs = true"),
            ("", "use_local_image_pull = true"),
        ];
        for (table, setting) in settings {
            let want = if table.is_empty() { setting } else { table };
            let table = if table.is_empty() { String::new() } else { format!(".{table}") };
            let three = format!("version = 3\n[plugins.'{IMAGES}'{table}]\n{setting}");
            assert_eq!(bypasses(&three), [want]);
            let inner = matches!(setting.split('_').next(), Some("disable" | "discard"));
            let table = if inner { ".containerd".to_owned() } else { table };
            let two = format!("version = 2\n[plugins.'{CRI}'{table}]\n{setting}");
            assert_eq!(bypasses(&two), [want]);
        }
    }

    #[test]
    fn imports_are_followed_once_and_override() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let bindir = |text: &str| format!("version = 3\n[plugins.'{BINDIR}']\n{text}\n");
        write(
            "config.toml",
            &format!("imports = ['conf.d/*.toml', 'config.toml']\n{}", bindir("bin_dir = '/a'")),
        );
        write("conf.d/1.toml", &bindir("bin_dir = '/b'\nmax_verifiers = 2"));
        write("conf.d/2.toml", &bindir("per_verifier_timeout = '1m30s'"));
        write("conf.d/3.toml", "disabled_plugins = ['io.containerd.transfer.v1.local', 'x.y']");
        write(
            "conf.d/4.toml",
            &format!("version = 3\n[plugins.'{IMAGES}']\nuse_local_image_pull = true"),
        );
        let found = Settings::load(&folder.path().join("config.toml")).unwrap();
        assert_eq!(found.bin_dir, Path::new("/b"));
        assert_eq!((found.max_verifiers, found.timeout), (2, Duration::from_secs(90)));
        assert_eq!(found.disabled, [TRANSFER]);
        assert_eq!(found.bypasses[0].file, folder.path().join("conf.d/4.toml"));
        assert_eq!(found.files.len(), 5);
        assert_eq!(Settings::load(&folder.path().join("none")).unwrap(), Settings::default());
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let late = format!("[plugins.'{BINDIR}']\nper_verifier_timeout = 'soon'");
        for bad in ["version = ", "imports = 'x'", &late] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
