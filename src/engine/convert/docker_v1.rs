//! Archives of Docker v1: the layers byte by byte, and a config that says
//! what the documents of the images said.

use std::collections::BTreeMap;

use super::super::docker_v1::read;
use super::super::{Image, Progress};
use super::{Error, Parts, must_be_sound};
use crate::engine::copy;
use crate::image::docker_v1::{config, tree};
use crate::image::{Depth, Descriptor, media_type};
use crate::limits::Limits;
use crate::store::{DockerArchive, Layout, Target, Whole};

pub(super) async fn parts(
    image: &Image,
    archive: &DockerArchive,
    whole: &Whole,
    layout: &Layout,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Parts, Error> {
    let read = read(image, whole, true, limits, progress).await?;
    let source = read.file.digest().clone();
    let only = read.only.as_deref();
    let mut tree = tree(read.file, &read.check, only, Depth::Contents, limits);
    if let Target::Digest(asked) = image.target() {
        tree.must_be(asked);
    }
    must_be_sound(tree.shape())?;
    // a sound tree has an archive
    let Some(found) = read.check.archive() else {
        return Err(Error::Broken("it is no archive of Docker v1".to_owned()));
    };
    let top = match (only, found.tops().as_slice()) {
        (Some(name), _) => found.named(name),
        (None, [one]) => Some(*one),
        (None, _) => None,
    };
    let Some(top) = top else {
        let names: Vec<_> = found.names().take(20).map(|name| format!("`{name}`")).collect();
        return Err(Error::Usage(format!(
            "the archive holds several images; write `:NAME:TAG` behind the file: there are {}",
            names.join(", ")
        )));
    };
    let chain = found.chain(top);
    let mut layers = Vec::new();
    for image in &chain {
        let Some(digest) = image.layer.digest.clone() else {
            return Err(Error::Broken(format!("the layer of {} was not read", image.id)));
        };
        archive.locate(&digest, format!("{}/layer.tar", image.id));
        layers.push(Descriptor::new(media_type::OCI_LAYER, digest, image.layer.size));
    }
    copy::blobs(archive, layout, &layers, limits).await?;
    let digests: Vec<_> = layers.iter().map(|layer| layer.digest.clone()).collect();
    let config = config(&chain, &digests)
        .ok_or_else(|| Error::Broken(format!("the json of {} is none", top.id)))?;
    progress.finish();
    Ok(Parts {
        format: "docker-v1",
        source,
        config,
        layers,
        annotations: BTreeMap::new(),
        lost: Vec::new(),
    })
}
