//! ACIs: the root file system as one layer, written in the pass that checks
//! it, and a config that says what the manifest said.

use std::io::BufWriter;
use std::path::Path;

use super::super::Progress;
use super::super::whole::pass;
use super::{Error, Parts, must_be_sound};
use crate::image::aci::{AciReader, AciTree, config};
use crate::image::{Depth, Descriptor, Platform, media_type};
use crate::limits::Limits;
use crate::store::{Aci, Layout, Store as _};

/// Bytes of a write.
const WRITE: usize = 256 << 10;

pub(super) async fn parts(
    file: &Path,
    platform: Option<&Platform>,
    layout: &Layout,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Parts, Error> {
    let aci = Aci::open(file, Vec::new(), limits.clone())?;
    let whole = aci.whole().ok_or_else(|| Error::Usage("it is no file".to_owned()))?;
    let failed = |source| Error::File { what: "write the layer".to_owned(), source };
    let blob = layout.begin_blob()?;
    let out = BufWriter::with_capacity(WRITE, blob.as_file().try_clone().map_err(failed)?);
    progress.expect(whole.len);
    let reader = AciReader::with_layer(limits, Box::new(out));
    let read = pass::read(whole, Vec::new(), reader, progress).await?;
    progress.finish();
    let (check, layer) = read.reader.finish_layer();
    let (Some(layer), Some(id), Some(manifest)) = (layer, check.id(), check.manifest()) else {
        must_be_sound(AciTree::new(read.file, &check, Depth::Contents, limits).finish().shape())?;
        return Err(Error::Broken("it is no ACI".to_owned()));
    };
    let layer = layer.map_err(failed)?;
    let made = config(manifest, &layer, platform).map_err(|why| {
        Error::Usage(format!("{} cannot become one OCI image: {why}", aci.place()))
    })?;
    layout.finish_blob(blob, &layer.digest)?;
    Ok(Parts {
        format: "appc",
        source: id.clone(),
        config: made.bytes,
        layers: vec![Descriptor::new(media_type::OCI_LAYER, layer.digest, layer.size)],
        annotations: made.annotations,
        lost: made.lost,
    })
}
