//! containerd's hosts: from which servers a registry's images are read
//! (containerd, docs/hosts.md).

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use toml::{Table, Value};
use url::Url;

use crate::engine::read_file;
use crate::image::Repository;
use crate::store::auth::{Credential, Secret};

/// Bytes of one `hosts.toml` that are read.
const FILE_BYTES: u64 = 256 << 10;

/// Servers that one registry may have.
const MOST: usize = 16;

/// One server that has a registry's images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    /// Host and port as [`Repository::host`] has them.
    pub(super) host: String,
    /// How it is spoken to; `None` where nothing says so.
    pub(super) scheme: Option<Scheme>,
    /// PEM files to trust beside the system's roots.
    pub(super) ca: Vec<PathBuf>,
    /// Certificate, and its key where that is another file.
    pub(super) client: Option<(PathBuf, Option<PathBuf>)>,
    /// What its `header` table says under `authorization`.
    pub(super) credential: Option<Credential>,
}

/// With TLS or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Https,
    Http,
}

/// The servers of one registry in the order in which they are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hosts {
    pub(super) servers: Vec<Host>,
    /// Servers that containerd may use and ocisign does not, with the reason.
    pub(super) unused: Vec<String>,
}

impl Host {
    /// The registry itself, with nothing said about it.
    pub(super) fn plain(host: &str) -> Self {
        Self { host: host.to_owned(), scheme: None, ca: Vec::new(), client: None, credential: None }
    }
}

/// The servers of `host` by the first directory that has it; `None` where
/// none does.
///
/// # Errors
/// What cannot be read or used, for people.
pub(super) fn find(directories: &[PathBuf], host: &str) -> Result<Option<Hosts>, String> {
    for directory in directories {
        for name in names(host) {
            let own = directory.join(name);
            match own.metadata() {
                Ok(_) => return load(&own, host).map(Some),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("cannot read `{}`: {error}", own.display())),
            }
        }
    }
    Ok(None)
}

/// `host_port_`, `host:port` and `_default`, in containerd's order.
fn names(host: &str) -> Vec<String> {
    let portless = host.rsplit_once(':').map(|(name, port)| format!("{name}_{port}_"));
    portless.into_iter().chain([host.to_owned(), "_default".to_owned()]).collect()
}

fn load(directory: &Path, host: &str) -> Result<Hosts, String> {
    let file = directory.join("hosts.toml");
    if !file.exists() {
        return certificates(directory, host);
    }
    let bytes = read_file(&file, FILE_BYTES).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| format!("`{}` is no text", file.display()))?;
    parse(&text, directory, host).map_err(|why| format!("`{}` {why}", file.display()))
}

/// Docker's way: `*.crt` to trust, `*.cert` and `*.key` to show.
fn certificates(directory: &Path, host: &str) -> Result<Hosts, String> {
    let failed = |error| format!("cannot read `{}`: {error}", directory.display());
    let mut found = Host::plain(host);
    let entries = std::fs::read_dir(directory).map_err(failed)?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(1000).collect();
    files.sort();
    for file in files {
        match file.extension().and_then(|end| end.to_str()) {
            Some("crt") => found.ca.push(file),
            Some("cert") => {
                let key = file.with_extension("key");
                let key = key.exists().then_some(key);
                found.client.get_or_insert((file, key));
            }
            Some(_) | None => {}
        }
    }
    Ok(Hosts { servers: vec![found], unused: Vec::new() })
}

/// Reads a `hosts.toml`.
///
/// # Errors
/// What is wrong, as the end of a sentence about the file.
pub(super) fn parse(text: &str, directory: &Path, host: &str) -> Result<Hosts, String> {
    let file: Table = text.parse().map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        format!("is no TOML (line {line}); correct it")
    })?;
    let none = Table::new();
    let mirrors = match file.get("host") {
        Some(Value::Table(mirrors)) => mirrors,
        Some(_) => return Err("has a `host` that is no table; correct it".to_owned()),
        None => &none,
    };
    if mirrors.len() >= MOST {
        return Err(format!("names {} servers; at most {MOST} are asked", mirrors.len()));
    }
    let mut hosts = Hosts::default();
    for (url, settings) in mirrors {
        let settings = settings.as_table().ok_or("has a host that is no table; correct it")?;
        hosts.add(server(url, settings, directory));
    }
    match file.get("server") {
        Some(Value::String(url)) if !url.is_empty() => hosts.add(server(url, &file, directory)),
        Some(Value::String(_)) | None => hosts.add(settings(Host::plain(host), &file, directory)),
        Some(_) => return Err("has a `server` that is no text; correct it".to_owned()),
    }
    Ok(hosts)
}

impl Hosts {
    fn add(&mut self, server: Result<Option<Host>, String>) {
        match server {
            Ok(server) => self.servers.extend(server),
            Err(why) => self.unused.push(why),
        }
    }
}

/// One server by its URL; `None` where nothing is pulled from it.
fn server(text: &str, table: &Table, directory: &Path) -> Result<Option<Host>, String> {
    let with_scheme = match text.starts_with("http") {
        true => text.to_owned(),
        false => format!("https://{text}"),
    };
    let shown = crate::report::escaped(text);
    let bad = |why: &str| format!("server `{shown}` is not asked: {why}");
    let url = Url::parse(&with_scheme).map_err(|_| bad("it is no URL"))?;
    let scheme = match url.scheme() {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        _ => return Err(bad("it is neither http nor https")),
    };
    let path = url.path().trim_end_matches('/');
    if !matches!(path, "" | "/v2") || (path.is_empty() && is(table, "override_path")) {
        return Err(bad("its API is not at /v2, which ocisign does not support"));
    }
    let host = host_of(&url).ok_or_else(|| bad("its host can stand in no image's name"))?;
    settings(Host { scheme: Some(scheme), ..Host::plain(&host) }, table, directory)
}

/// Host and port, where an image's name with them means this server.
fn host_of(url: &Url) -> Option<String> {
    let name = url.host_str()?;
    let port = url.port_or_known_default()?;
    let text = format!("{name}:{port}/a");
    let repository: Repository = text.parse().ok()?;
    let own = repository.host();
    (own == "docker.io" || own.starts_with(name)).then(|| own.to_owned())
}

/// What is said of one server beside its address.
fn settings(mut host: Host, table: &Table, directory: &Path) -> Result<Option<Host>, String> {
    let shown = crate::report::escaped(&host.host);
    let bad = |why: &str| format!("server `{shown}` is not asked: {why}");
    if let Some(capabilities) = table.get("capabilities") {
        let capabilities =
            capabilities.as_array().ok_or_else(|| bad("`capabilities` is no list"))?;
        let pulls = |value: &Value| value.as_str().is_some_and(|c| c.eq_ignore_ascii_case("pull"));
        if !capabilities.is_empty() && !capabilities.iter().any(pulls) {
            return Ok(None);
        }
    }
    if is(table, "skip_verify") {
        return Err(bad("`skip_verify` gives up TLS, which ocisign never does; write `ca`"));
    }
    let absolute = |path: &str| directory.join(path);
    host.ca = match table.get("ca") {
        None => Vec::new(),
        Some(value) => texts(value).ok_or_else(|| bad("`ca` is neither a path nor a list"))?,
    }
    .into_iter()
    .map(absolute)
    .collect();
    host.client = match table.get("client") {
        None => None,
        Some(value) => pair(value).ok_or_else(|| bad("`client` has no form that is known"))?,
    }
    .map(|(certificate, key)| (absolute(certificate), key.map(absolute)));
    if let Some(header) = table.get("header") {
        host.credential = header
            .as_table()
            .ok_or_else(|| bad("`header` is no table"))
            .and_then(|header| authorization(header).map_err(|why| bad(&why)))?;
    }
    Ok(Some(host))
}

fn is(table: &Table, key: &str) -> bool {
    table.get(key).and_then(Value::as_bool).unwrap_or_default()
}

/// A text, or a list of texts.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(one) => Some(vec![one]),
        Value::Array(many) => many.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// The first certificate: `"FILE"`, `["FILE", …]` or `[["CERT", "KEY"], …]`.
#[allow(clippy::type_complexity, reason = "a path, and perhaps another")]
fn pair(value: &Value) -> Option<Option<(&str, Option<&str>)>> {
    match value {
        Value::String(one) => Some(Some((one, None))),
        Value::Array(many) => match many.first() {
            None => Some(None),
            Some(Value::String(one)) => Some(Some((one, None))),
            Some(Value::Array(two)) => match two.as_slice() {
                [Value::String(certificate), Value::String(key)] => {
                    Some(Some((certificate, Some(key))))
                }
                _ => None,
            },
            Some(_) => None,
        },
        _ => None,
    }
}

/// The credential that an `authorization` header carries. It is never quoted.
fn authorization(header: &Table) -> Result<Option<Credential>, String> {
    let Some((_, value)) =
        header.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
    else {
        return Ok(None);
    };
    let unknown = || "its `authorization` is neither Basic nor Bearer".to_owned();
    let value = texts(value).and_then(|all| all.first().copied()).ok_or_else(unknown)?;
    let (scheme, rest) = value.split_once(' ').ok_or_else(unknown)?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Credential::RegistryToken(Secret::new(rest))));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(unknown());
    }
    let broken = || "its `authorization` is not base64 of `user:password`".to_owned();
    let raw = zeroize::Zeroizing::new(STANDARD.decode(rest).map_err(|_| broken())?);
    let text = std::str::from_utf8(&raw).map_err(|_| broken())?;
    let (username, password) = text.split_once(':').ok_or_else(broken)?;
    let (username, password) = (username.to_owned(), Secret::new(password));
    Ok(Some(Credential::Password { username, password }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Hosts {
        parse(text, Path::new("/certs.d/a.example"), "a.example").unwrap()
    }

    fn addresses(hosts: &Hosts) -> Vec<(&str, Option<Scheme>)> {
        hosts.servers.iter().map(|server| (server.host.as_str(), server.scheme)).collect()
    }

    #[test]
    fn mirrors_come_first_in_the_order_of_the_file() {
        let hosts = read(
            r#"server = "https://a.example"
[host."https://zebra.example"]
  capabilities = ["pull", "resolve"]
[host."http://10.0.0.1:5000/v2"]
[host."https://push.example"]
  capabilities = ["push"]
"#,
        );
        let want = [
            ("zebra.example", Some(Scheme::Https)),
            ("10.0.0.1:5000", Some(Scheme::Http)),
            ("a.example", Some(Scheme::Https)),
        ];
        assert_eq!(addresses(&hosts), want);
        assert!(hosts.unused.is_empty());
    }

    #[test]
    fn docker_hub_goes_by_its_name() {
        let text = "server = \"https://registry-1.docker.io\"";
        let hosts = parse(text, Path::new("/certs.d/docker.io"), "docker.io").unwrap();
        assert_eq!(addresses(&hosts), [("docker.io", Some(Scheme::Https))]);
        let none = parse("", Path::new("/certs.d/docker.io"), "docker.io").unwrap();
        assert_eq!(addresses(&none), [("docker.io", None)]);
    }

    #[test]
    fn what_would_be_weaker_or_other_is_not_asked_and_said() {
        for (text, why) in [
            ("server = \"https://b.example\"\nskip_verify = true", "skip_verify"),
            ("server = \"https://b.example/proxy\"", "/v2"),
            ("server = \"https://b.example\"\noverride_path = true", "/v2"),
            ("server = \"ftp://b.example\"", "no"),
            ("[host.\"https://b.example\".header]\nauthorization = \"Digest x\"", "Basic"),
        ] {
            let hosts = read(text);
            assert!(hosts.unused.iter().any(|unused| unused.contains(why)), "{text}: {hosts:?}");
            assert!(hosts.servers.iter().all(|server| server.host == "a.example"), "{hosts:?}");
        }
    }

    #[test]
    fn certificates_and_credentials_belong_to_their_server() {
        let hosts = read(
            r#"ca = "/etc/ca.pem"
[host."https://m.example:5000"]
  ca = ["one.pem", "two.pem"]
  client = [["me.cert", "me.key"]]
  [host."https://m.example:5000".header]
    Authorization = "Basic bWU6c2VjcmV0"
"#,
        );
        let [mirror, own] = hosts.servers.as_slice() else { panic!("{hosts:?}") };
        let at = |name: &str| PathBuf::from("/certs.d/a.example").join(name);
        assert_eq!(mirror.ca, [at("one.pem"), at("two.pem")]);
        assert_eq!(mirror.client, Some((at("me.cert"), Some(at("me.key")))));
        let password = Secret::new("secret");
        let me = Credential::Password { username: "me".to_owned(), password };
        assert_eq!(mirror.credential, Some(me));
        assert_eq!((own.ca.clone(), own.credential.clone()), (vec!["/etc/ca.pem".into()], None));
    }

    #[test]
    fn an_error_shows_no_secret() {
        let text = "[header]\nauthorization = \"Basic hunter2!\"\n";
        let shown = format!("{:?}", read(text).unused);
        assert!(!shown.contains("hunter2"), "{shown}");
        let broken = parse("authorization = hunter2", Path::new("/c"), "a.example").unwrap_err();
        assert!(broken.contains("line 1") && !broken.contains("hunter2"), "{broken}");
    }

    #[test]
    fn directories_are_looked_for_as_containerd_does() {
        let folder = tempfile::tempdir().unwrap();
        let roots = [folder.path().to_owned()];
        assert_eq!(find(&roots, "a.example:5000"), Ok(None));
        for (name, server) in
            [("_default", "d"), ("a.example:5000", "colon"), ("a.example_5000_", "under")]
        {
            let own = folder.path().join(name);
            std::fs::create_dir(&own).unwrap();
            let text = format!("server = \"https://{server}.example\"");
            std::fs::write(own.join("hosts.toml"), text).unwrap();
            let found = find(&roots, "a.example:5000").unwrap().unwrap();
            assert_eq!(found.servers[0].host, format!("{server}.example"));
        }
        let docker = folder.path().join("docker.example");
        std::fs::create_dir(&docker).unwrap();
        std::fs::write(docker.join("ca.crt"), "").unwrap();
        std::fs::write(docker.join("me.cert"), "").unwrap();
        let found = find(&roots, "docker.example").unwrap().unwrap();
        assert_eq!(found.servers[0].ca, [docker.join("ca.crt")]);
        assert_eq!(found.servers[0].client, Some((docker.join("me.cert"), None)));
    }
}
