//! Archives of `docker save` with a manifest.json: config and layers as they
//! lie there, under the media types of OCI.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::super::{Image, Progress, fetch, read_tree, whole};
use super::{Error, Parts, docker_v1, must_be_sound};
use crate::engine::copy;
use crate::image::{Depth, Descriptor, Source, media_type};
use crate::limits::Limits;
use crate::store::{DockerArchive, Layout, Store as _};

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

pub(super) async fn parts(
    source: &Source,
    file: &Path,
    layout: &Layout,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Parts, Error> {
    let archive = DockerArchive::open(file, limits.clone())?;
    let image = Image::from_store(Arc::new(archive.clone()), source, None)?;
    if let Some(whole) = archive.whole() {
        return docker_v1::parts(&image, &archive, &whole, layout, limits, progress).await;
    }
    let tree = read_tree(&image, Depth::Contents, limits, progress).await?;
    must_be_sound(tree.shape())?;
    let root = &tree.root().digest;
    let unread = || Error::Broken("its manifest is none of an image; save one image".to_owned());
    let manifest = tree.document(root).ok_or_else(unread)?;
    // the tree read it by all rules, so this finds what the tree found
    let manifest: Manifest = serde_json::from_slice(manifest).map_err(|_| unread())?;
    let layers = manifest.layers.into_iter().map(oci).collect::<Result<Vec<_>, _>>()?;
    copy::blobs(&archive, layout, &layers, limits).await?;
    let config = fetch::small_blob(&archive, &manifest.config, limits.config_bytes).await?;
    if !manifest.config.digest.matches(&config) {
        return Err(Error::Broken(format!("config {}: other bytes", manifest.config.digest)));
    }
    Ok(Parts {
        format: "docker-archive",
        source: whole::digest(archive.file()).await?,
        config,
        layers,
        annotations: BTreeMap::new(),
        lost: Vec::new(),
    })
}

/// A layer under the media type that OCI has for it.
fn oci(layer: Descriptor) -> Result<Descriptor, Error> {
    let media_type = match layer.media_type.as_str() {
        media_type::OCI_LAYER | media_type::DOCKER_LAYER => media_type::OCI_LAYER,
        media_type::OCI_LAYER_GZIP | media_type::DOCKER_LAYER_GZIP => media_type::OCI_LAYER_GZIP,
        media_type::OCI_LAYER_ZSTD => media_type::OCI_LAYER_ZSTD,
        other => {
            return Err(Error::Usage(format!(
                "a layer is of the type `{other}`, which an image that stands alone cannot have; \
                 copy the image instead: `ocisign copy`"
            )));
        }
    };
    Ok(Descriptor::new(media_type, layer.digest, layer.size))
}
