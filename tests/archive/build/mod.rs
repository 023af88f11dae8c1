//! Archives, file by file.

pub(crate) mod aci;
pub(crate) mod v1;

use std::io::Write as _;

use sha2::{Digest as _, Sha256};

/// A tar that is being written.
#[derive(Default)]
pub(crate) struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    pub(crate) fn file(&mut self, name: &str, content: &[u8]) -> &mut Self {
        self.entry(name, tar::EntryType::Regular, "", content)
    }

    pub(crate) fn link(&mut self, name: &str, target: &str) -> &mut Self {
        self.entry(name, tar::EntryType::Symlink, target, b"")
    }

    pub(crate) fn entry(
        &mut self,
        name: &str,
        kind: tar::EntryType,
        link: &str,
        content: &[u8],
    ) -> &mut Self {
        let mut header = tar::Header::new_ustar();
        // by hand: the crate refuses the paths that matter here
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_entry_type(kind);
        header.set_cksum();
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// Takes the entries of another.
    pub(crate) fn append(&mut self, other: Self) -> &mut Self {
        self.bytes.extend(other.bytes);
        self
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Two layers of one file each.
pub(crate) fn layers() -> [Vec<u8>; 2] {
    ["one", "two"].map(|name| {
        let mut tar = Tar::default();
        tar.file(name, name.as_bytes());
        tar.finish()
    })
}

pub(crate) fn config() -> String {
    let [one, two] = layers().map(|layer| sha256(&layer));
    format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["sha256:{one}","sha256:{two}"]}}}}"#
    )
}

pub(crate) fn config_name() -> String {
    format!("{}.json", sha256(config().as_bytes()))
}

/// One image of manifest.json.
pub(crate) fn entry(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!(r#""{name}""#)).collect();
    format!(
        r#"{{"Config":"{}","RepoTags":[{}],"Layers":["one/layer.tar","two/layer.tar"]}}"#,
        config_name(),
        names.join(",")
    )
}

pub(crate) fn manifest(names: &[&str]) -> String {
    format!("[{}]", entry(names))
}

/// Config and layers as Docker wrote them from 1.10 to 24.
pub(crate) fn files() -> Tar {
    let mut tar = Tar::default();
    for (name, layer) in ["one", "two"].iter().zip(layers()) {
        tar.file(&format!("{name}/VERSION"), b"1.0").file(&format!("{name}/layer.tar"), &layer);
    }
    tar.file(&config_name(), config().as_bytes());
    tar
}

/// An archive of Docker 1.10 to 24.
pub(crate) fn docker() -> Tar {
    let mut tar = files();
    tar.file("manifest.json", manifest(&["app:v1"]).as_bytes());
    tar
}

/// The manifest that Docker 25 writes for the image of [`docker`].
pub(crate) fn own_manifest() -> String {
    let (config, layers) = (config(), layers());
    let layer = |bytes: &Vec<u8>| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:{}","size":{}}}"#,
            sha256(bytes),
            bytes.len()
        )
    };
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:{}","size":{}}},"layers":[{},{}]}}"#,
        sha256(config.as_bytes()),
        config.len(),
        layer(&layers[0]),
        layer(&layers[1]),
    )
}

/// An archive of Docker 25: a layout with `manifests` in its index, and a
/// manifest.json that names its blobs.
pub(crate) fn docker_25(manifests: &str, own: &str) -> Tar {
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", sha256(bytes));
    let mut tar = Tar::default();
    let layers = layers();
    for bytes in [&layers[0], &layers[1], config().as_bytes(), own.as_bytes()] {
        tar.file(&blob(bytes), bytes);
    }
    tar.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    tar.file("index.json", format!(r#"{{"schemaVersion":2,"manifests":{manifests}}}"#).as_bytes());
    let manifest = format!(
        r#"[{{"Config":"{}","RepoTags":["app:v1"],"Layers":["{}","{}"]}}]"#,
        blob(config().as_bytes()),
        blob(&layers[0]),
        blob(&layers[1])
    );
    tar.file("manifest.json", manifest.as_bytes());
    tar
}
