//! The manifest of an image that was saved without one.
//!
//! Derived is what Docker 25 and later write for the same image: an OCI
//! manifest of `schemaVersion`, `mediaType`, `config` and `layers` in this
//! order, without spaces; every layer as it lies in the archive, under the
//! media type that its first bytes ask for. A layer that is a plain tar goes
//! by the diff_id that the config states for it, whether it has that digest
//! or not: the tree finds out, and says which layer lies.

use std::io::Read;

use serde_json::Value;

use super::Tar;
use super::saved::{Saved, named_digest};
use crate::image::{Algorithm, Descriptor, Digest, Hasher, manifest_digest, media_type};
use crate::store::StoreError;
use crate::store::layout::contents::Run;

/// Indexes within each other that are searched for a manifest.
const INDEXES: usize = 2;

/// A manifest and where the blobs that it names lie in the tar.
#[derive(Debug)]
pub(super) struct Derived {
    pub(super) bytes: Vec<u8>,
    pub(super) media_type: String,
    /// What the layout in the tar lists it as.
    pub(super) claimed: Option<Descriptor>,
    pub(super) blobs: Vec<(Digest, String)>,
}

impl Tar {
    /// The image's own manifest where the tar holds a layout too, else the
    /// derived one.
    pub(super) fn manifest_of(&self, image: &Saved) -> Result<Derived, StoreError> {
        let (config, mut blobs) = self.config(image)?;
        if let Some(bytes) = self.read("index.json", self.limits.manifest_bytes)?
            && let Some(own) = self.own_manifest(image, &config, &bytes)?
        {
            return Ok(Derived { blobs, ..own });
        }
        let mut layers = Vec::new();
        let stated = self.diff_ids(image)?;
        for (at, file) in image.layers.iter().enumerate() {
            let layer = self.layer(file, stated.get(at))?;
            blobs.push((layer.digest.clone(), file.clone()));
            layers.push(descriptor(layer.media_type, &layer.digest, layer.size));
        }
        let size = self.file(&image.config)?.len;
        let config = descriptor(media_type::OCI_CONFIG, &config, size);
        let bytes = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{config},"layers":[{}]}}"#,
            media_type::OCI_MANIFEST,
            layers.join(",")
        );
        let media_type = media_type::OCI_MANIFEST.to_owned();
        Ok(Derived { bytes: bytes.into_bytes(), media_type, claimed: None, blobs })
    }

    fn file(&self, name: &str) -> Result<Run, StoreError> {
        let shown: String = name.chars().take(100).collect();
        self.run(name)?.ok_or_else(|| {
            self.broken(format!("manifest.json names `{shown}`, which is not in it; save it again"))
        })
    }

    /// The digest by which the config goes: that of its name, which the tree
    /// holds it to, or else that of its bytes.
    fn config(&self, image: &Saved) -> Result<(Digest, Vec<(Digest, String)>), StoreError> {
        let run = self.file(&image.config)?;
        let digest = match named_digest(&image.config) {
            Some(digest) => digest,
            None => Digest::sha256(&run.read(&image.config, self.limits.config_bytes)?),
        };
        Ok((digest.clone(), vec![(digest, image.config.clone())]))
    }

    /// What the config says that its layers decompress to; empty where it
    /// does not say it for each.
    fn diff_ids(&self, image: &Saved) -> Result<Vec<Digest>, StoreError> {
        let bytes = self.file(&image.config)?.read(&image.config, self.limits.config_bytes)?;
        let depth = self.limits.json_depth;
        let sound = crate::image::json::scan(&bytes, &["rootfs", "diff_ids"], depth).is_ok();
        let config: Option<Value> = sound.then(|| serde_json::from_slice(&bytes).ok()).flatten();
        let stated = config.as_ref().and_then(|c| c.pointer("/rootfs/diff_ids")?.as_array());
        let parse = |id: &Value| id.as_str().and_then(|id| id.parse().ok());
        let all: Vec<Digest> = stated.into_iter().flatten().filter_map(parse).collect();
        Ok(if all.len() == image.layers.len() { all } else { Vec::new() })
    }

    fn layer(&self, file: &str, diff_id: Option<&Digest>) -> Result<Layer, StoreError> {
        let run = self.file(file)?;
        let mut reader = RunReader { run: &run, at: 0 };
        let failed = |source| StoreError::Io { what: format!("reading `{file}`"), source };
        let mut magic = Vec::new();
        reader.by_ref().take(4).read_to_end(&mut magic).map_err(failed)?;
        let media_type = match magic.as_slice() {
            [0x1f, 0x8b, ..] => media_type::OCI_LAYER_GZIP,
            [0x28, 0xb5, 0x2f, 0xfd] => media_type::OCI_LAYER_ZSTD,
            _ => media_type::OCI_LAYER,
        };
        let digest = match diff_id {
            Some(diff_id) if media_type == media_type::OCI_LAYER => diff_id.clone(),
            _ => hash(RunReader { run: &run, at: 0 }).map_err(failed)?,
        };
        Ok(Layer { media_type, digest, size: run.len })
    }

    /// The manifest that the layout in the same tar has for the image. `None`
    /// where that lists no image at all: Docker 25.0 wrote `null` for one
    /// that was saved by its id.
    ///
    /// Other bytes than a digest names are read by nobody. Where no other
    /// manifest is the image's they are given out as what they claim to be:
    /// the tree finds out, and says so.
    fn own_manifest(
        &self,
        image: &Saved,
        config: &Digest,
        index: &[u8],
    ) -> Result<Option<Derived>, StoreError> {
        let mut level = self.children(index)?;
        if level.is_empty() {
            return Ok(None);
        }
        let (mut left, mut other) = (self.limits.tree_json_bytes, None);
        for _ in 0..INDEXES {
            let mut next = Vec::new();
            for listed in level {
                let name = crate::store::layout::contents::blob_name(&listed.digest);
                let Some(bytes) = self.read(&name, self.limits.manifest_bytes.min(left))? else {
                    continue;
                };
                left = left.saturating_sub(bytes.len() as u64);
                if self.digest(listed.digest.algorithm(), &bytes) != listed.digest {
                    other.get_or_insert((bytes, listed));
                    continue;
                }
                if self.agrees(image, config, &bytes)? {
                    return Ok(Some(Derived::listed(bytes, listed)));
                }
                next.extend(self.children(&bytes)?);
            }
            level = next;
        }
        let different = "manifest.json and index.json name different images; save it again";
        let (bytes, listed) = other.ok_or_else(|| self.broken(different.to_owned()))?;
        Ok(Some(Derived::listed(bytes, listed)))
    }

    /// Whether a manifest is one of this config: it must then have the same
    /// layers in the same order.
    fn agrees(&self, image: &Saved, config: &Digest, bytes: &[u8]) -> Result<bool, StoreError> {
        let document = self.document(bytes)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if document.pointer("/config/digest").and_then(text) != Some(config.to_string()) {
            return Ok(false);
        }
        let layers =
            document.get("layers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let listed: Vec<_> = layers.iter().map(|l| l.get("digest").and_then(text)).collect();
        let saved = image.layers.iter().map(|l| named_digest(l).map(|digest| digest.to_string()));
        if saved.collect::<Vec<_>>() != listed {
            let why = "manifest.json and the manifest in the layout name different layers";
            return Err(self.broken(format!("{why}; save it again with a newer Docker")));
        }
        Ok(true)
    }

    fn children(&self, bytes: &[u8]) -> Result<Vec<Descriptor>, StoreError> {
        let document = self.document(bytes)?;
        let all = document.get("manifests").and_then(Value::as_array);
        if all.is_some_and(|all| all.len() > self.limits.tree_nodes) {
            let limit = self.limits.tree_nodes as u64;
            return Err(StoreError::TooLarge { what: "index.json".to_owned(), limit });
        }
        let listed = |entry: &Value| {
            serde_json::from_value(entry.clone())
                .map_err(|why| self.broken(format!("a manifest in it is listed wrongly: {why}")))
        };
        all.into_iter().flatten().map(listed).collect()
    }

    /// The digest of a manifest that is no schema 1: none lies in such a tar.
    pub(super) fn digest(&self, algorithm: Algorithm, bytes: &[u8]) -> Digest {
        manifest_digest(algorithm, None, bytes, &self.limits)
    }

    fn document(&self, bytes: &[u8]) -> Result<Value, StoreError> {
        const KEYS: &[&str] = &["manifests", "config", "layers", "digest", "mediaType"];
        crate::image::json::scan(bytes, KEYS, self.limits.json_depth)
            .map_err(|error| error.to_string())
            .and_then(|()| serde_json::from_slice(bytes).map_err(|error| error.to_string()))
            .map_err(|why| self.broken(format!("a manifest in it is none: {why}")))
    }
}

impl Derived {
    /// Bytes as what a layout lists them.
    fn listed(bytes: Vec<u8>, listed: Descriptor) -> Self {
        let media_type = listed.media_type.clone();
        Self { bytes, media_type, claimed: Some(listed), blobs: Vec::new() }
    }
}

struct Layer {
    media_type: &'static str,
    digest: Digest,
    size: u64,
}

/// Media types and digests have no character that JSON escapes.
fn descriptor(media_type: &str, digest: &Digest, size: u64) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

fn hash(mut reader: RunReader<'_>) -> std::io::Result<Digest> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// The bytes of a run from its begin.
struct RunReader<'a> {
    run: &'a Run,
    at: u64,
}

impl Read for RunReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        let left = self.run.len.saturating_sub(self.at);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let into = buffer.get_mut(..want).unwrap_or_default();
        let n = self.run.file.read_at(into, self.run.offset.saturating_add(self.at))?;
        self.at += n as u64;
        Ok(n)
    }
}
