//! appc images: the file read once, and what it depends on.

mod find;

use std::sync::Arc;

use find::Shelf;

use super::whole::pass::{self, Pass, aside};
use super::whole::{Grown, Signed};
use super::{Error, Image, Progress};
use crate::image::Depth;
use crate::image::aci::{AciName, AciReader, AciTree, Pair};
use crate::limits::Limits;
use crate::store::Whole;

/// Reads an ACI with its dependencies. `signed` are signatures that its bytes
/// are hashed for.
pub(super) async fn grow(
    image: &Image,
    whole: &Whole,
    depth: Depth,
    mut signed: Vec<Signed>,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Grown, Error> {
    progress.expect(whole.len);
    let hashes = signed.iter_mut().map(|s| s.hash.take()).collect();
    let Pass { file, reader, hashes } =
        pass::read(whole.clone(), hashes, AciReader::new(limits), progress).await?;
    for (signed, hash) in signed.iter_mut().zip(hashes) {
        signed.hash = hash;
    }
    let check = reader.finish();
    let mut tree = AciTree::new(file, &check, depth, limits);
    if let Some(asked) = asked(image) {
        tree.must_be(&check, &asked);
    }
    let shelf = Arc::new(Shelf::new(image.store().dependencies().to_vec(), limits.clone()));
    while let Some(want) = tree.want() {
        let (shelf, wanted) = (shelf.clone(), want.clone());
        match aside(move || shelf.find(&wanted)).await? {
            Some((check, bytes)) => tree.supply(&want, check, bytes),
            None => tree.missing(&want),
        }
    }
    progress.finish();
    Ok(Grown { tree: tree.finish(), signed })
}

/// The name and labels that the image must have by its own account: those by
/// which it was found, or those that the user gives it.
fn asked(image: &Image) -> Option<AciName> {
    if let Some(name) = image.store().asked() {
        return Some(name.clone());
    }
    let name = image.signed_name()?;
    let version = name.tag().map(|tag| Pair { name: "version".to_owned(), value: tag.to_owned() });
    AciName::new(&name.repository().to_string(), &version.into_iter().collect::<Vec<_>>()).ok()
}

impl pass::Reads for AciReader {
    fn update(&mut self, bytes: &[u8]) -> bool {
        AciReader::update(self, bytes)
    }
}
