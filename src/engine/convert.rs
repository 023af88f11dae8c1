//! Converting: an OCI image of what has no manifest, always the same bytes
//! for the same source, with the source's digest in it.
//!
//! A layout is made beside the destination and takes its name once it is
//! whole, so nobody ever finds half of one.

mod aci;
mod docker_archive;
mod docker_v1;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::check::Soundness;
use super::{Error, Progress, soundness};
use crate::image::{Descriptor, Digest, Platform, Shape, Source, media_type};
use crate::limits::Limits;
use crate::store::{Layout, Store as _};

/// Annotation of the image: what its source was.
pub const SOURCE_FORMAT: &str = "dev.ocisign.source.format";

/// Annotation of the image: the digest of its source. Of an ACI it is the
/// image ID, of an archive that of the file.
pub const SOURCE_DIGEST: &str = "dev.ocisign.source.digest";

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The manifest of the new image.
    pub root: Descriptor,
    /// The digest of the source that stands in it.
    pub source: Digest,
    /// What the source says and an OCI image has no place for.
    pub lost: Vec<String>,
}

/// What a source came to: everything but the manifest, which is alike for
/// all of them.
struct Parts {
    format: &'static str,
    source: Digest,
    config: Vec<u8>,
    layers: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
    lost: Vec<String>,
}

/// Makes an OCI image of an archive of Docker or of an ACI, in a new layout.
///
/// `platform` is for an ACI that states none.
///
/// # Errors
/// [`Error::Broken`] where the source is not sound, [`Error::Incomplete`]
/// where it could not be read whole, [`Error::Usage`] where it needs no
/// converting or the destination exists.
pub async fn convert(
    source: &Source,
    destination: &Source,
    platform: Option<&Platform>,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Converted, Error> {
    let Source::Layout { dir, tag, digest: None } = destination else {
        return Err(Error::Usage(format!("{destination} is no new layout; write oci:DIR[:TAG]")));
    };
    let dir = Path::new(dir);
    let exists = || Error::Usage(format!("`{}` exists; name a new directory", dir.display()));
    if dir.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let failed = |source| Error::File { what: format!("write `{}`", dir.display()), source };
    let above = match dir.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    let stage = tempfile::Builder::new()
        .prefix(".ocisign-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .tempdir_in(above)
        .map_err(failed)?;
    let layout = Layout::create(stage.path(), limits.clone())?;
    let parts = match source {
        Source::DockerArchive { file, .. } => {
            docker_archive::parts(source, Path::new(file), &layout, limits, progress).await?
        }
        Source::Aci { file } => {
            aci::parts(Path::new(file), platform, &layout, limits, progress).await?
        }
        Source::AciName(_) => {
            return Err(Error::Usage(format!("{source} must be fetched first; name its file")));
        }
        Source::Registry(_) | Source::Layout { .. } | Source::Archive { .. } => {
            return Err(Error::Usage(format!(
                "{source} has a manifest already; copy it: `ocisign copy {source} {destination}`"
            )));
        }
    };
    let converted = finish(parts, &layout, tag.as_deref()).await?;
    if dir.symlink_metadata().is_ok() {
        return Err(exists());
    }
    std::fs::rename(stage.path(), dir).map_err(failed)?;
    // it has another name now: there is nothing left to remove
    let _ = stage.keep();
    Ok(converted)
}

/// Writes config and manifest.
async fn finish(parts: Parts, layout: &Layout, tag: Option<&str>) -> Result<Converted, Error> {
    let config = Descriptor::of(media_type::OCI_CONFIG, &parts.config);
    layout.push_blob(&config, bytes(parts.config)).await?;
    let describe = |d: &Descriptor| json!({"mediaType": d.media_type, "digest": d.digest.to_string(), "size": d.size});
    let mut annotations = parts.annotations;
    annotations.insert(SOURCE_FORMAT.to_owned(), parts.format.to_owned());
    annotations.insert(SOURCE_DIGEST.to_owned(), parts.source.to_string());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": describe(&config),
        "layers": parts.layers.iter().map(describe).collect::<Vec<_>>(),
        "annotations": annotations,
    });
    // canonical, so that no version of a library has a say in the digest
    let manifest = serde_json_canonicalizer::to_vec(&manifest)
        .map_err(|error| Error::Incomplete(format!("the manifest cannot be written: {error}")))?;
    let root = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
    layout.push_manifest(&root, &manifest, tag).await?;
    if tag.is_none() {
        layout.list_untagged(&root).await?;
    }
    Ok(Converted { root, source: parts.source, lost: parts.lost })
}

fn bytes(bytes: Vec<u8>) -> crate::store::Blob {
    let chunk = futures_util::stream::iter([Ok(crate::store::Chunk::from(bytes))]);
    crate::store::Blob::Stream(Box::pin(chunk))
}

/// Nothing is made of what is not sound.
fn must_be_sound(shape: &Shape) -> Result<(), Error> {
    match soundness(shape) {
        Soundness::Sound => Ok(()),
        Soundness::Broken(why) => Err(Error::Broken(why)),
        Soundness::Incomplete(why) => Err(Error::Incomplete(why)),
    }
}
