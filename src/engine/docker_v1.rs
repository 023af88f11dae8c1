//! Archives of Docker v1: the file read once. The file alone has a digest, so
//! it is what is signed.

use super::whole::Grown;
use super::whole::pass::{self, Pass};
use super::{Error, Image, Progress};
use crate::image::docker_v1::{V1Check, V1Reader, tree};
use crate::image::{Depth, FileCheck};
use crate::limits::Limits;
use crate::store::{StoreError, Target, Whole};

/// What reading an archive gave.
pub(super) struct V1Read {
    pub(super) file: FileCheck,
    pub(super) check: V1Check,
    /// The name of the one image that was asked for, which is in it.
    pub(super) only: Option<String>,
}

/// Reads an archive; with `contents` what is in its layers too.
///
/// # Errors
/// [`Error::Store`] where it is sound and has no image of the name that was
/// asked for.
pub(super) async fn read(
    image: &Image,
    whole: &Whole,
    contents: bool,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<V1Read, Error> {
    progress.expect(whole.len);
    let reader = V1Reader::new(contents, limits);
    let Pass { file, reader, .. } = pass::read(whole.clone(), Vec::new(), reader, progress).await?;
    let check = reader.finish();
    let only = match image.target() {
        Target::Tag(name) => Some(name.clone()),
        Target::Digest(_) | Target::Only => None,
    };
    if let (Some(name), Some(archive)) = (&only, check.archive())
        && archive.named(name).is_none()
    {
        let names: Vec<_> = archive.names().take(20).map(|name| format!("`{name}`")).collect();
        let what = format!("the image `{name}` (there are {})", names.join(", "));
        return Err(StoreError::Absent { what, place: image.store().place() }.into());
    }
    Ok(V1Read { file, check, only })
}

/// Reads an archive, and of the images in it the one that was named.
pub(super) async fn grow(
    image: &Image,
    whole: &Whole,
    depth: Depth,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Grown, Error> {
    let read = read(image, whole, depth == Depth::Contents, limits, progress).await?;
    let mut tree = tree(read.file, &read.check, read.only.as_deref(), depth, limits);
    if let Target::Digest(asked) = image.target() {
        tree.must_be(asked);
    }
    progress.finish();
    Ok(Grown { tree, signed: Vec::new() })
}

impl pass::Reads for V1Reader {
    fn update(&mut self, bytes: &[u8]) -> bool {
        V1Reader::update(self, bytes);
        true
    }
}
