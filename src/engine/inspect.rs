//! Inspecting: what something is, what holds it together, who says to have
//! signed it. Nothing of it is a verdict.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::Serialize;

use super::attach::signatures;
use super::{Ask, Entry, Error, Image, fetch};
use crate::image::{Addressed, Digest, Generation, Shape, Source, needs};
use crate::limits::Limits;

/// What was found out about an image.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// The image, as it can be named to the other verbs.
    pub image: String,
    /// Where it was read, in words.
    pub place: String,
    /// Its digest: of the manifest, or of the file where there is none.
    pub digest: Digest,
    /// Media type of its root.
    pub media_type: String,
    /// Its generation; `None` where the root is of no known kind.
    pub generation: Option<Generation>,
    /// What the digest covers.
    pub addressed: Option<Addressed>,
    /// The tree, documents left out.
    pub tree: Shape,
    /// What is attached or lies beside it; nothing of it is verified.
    pub signatures: Vec<Entry>,
    /// What could not be read of that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
    /// What to do to make it verifiable, or more so.
    pub needs: Vec<String>,
}

/// Inspects an image down to `depth`. `named` is how the user names it.
///
/// # Errors
/// [`Error::Store`] where the image, or the list of what is attached to it,
/// cannot be read.
pub async fn inspect(
    image: &Image,
    named: &str,
    ask: &Ask<'_>,
    limits: &Limits,
) -> Result<Inspection, Error> {
    let tree = fetch::grow(image, ask.depth, false, limits, ask).await?.tree;
    let image = image.at_digest(tree.root().digest.clone());
    let listing = signatures(&image, limits).await?;
    let mut shape = tree.shape().clone();
    let mut needs = needs(&shape, named);
    if listing.entries.iter().all(|entry| entry.unverified.is_none()) {
        needs.push(format!("nobody signed it: `ocisign sign --key KEY {named}`"));
    }
    for node in &mut shape.nodes {
        node.json = None;
    }
    let generation = Generation::of(&shape);
    Ok(Inspection {
        image: named.to_owned(),
        place: image.store().place(),
        digest: listing.digest,
        media_type: tree.root().media_type.clone(),
        generation,
        addressed: generation.map(Generation::addressed),
        tree: shape,
        signatures: listing.entries,
        incomplete: listing.incomplete,
        needs,
    })
}

/// The image that a text names: as everywhere, and beside that the path of a
/// directory or file, whose kind its content says.
///
/// A guess is good enough to look at something; what decides asks for the
/// kind by name.
///
/// # Errors
/// [`Error::Usage`] for a text that names nothing, and for a file of no known
/// kind; [`Error::File`] where it cannot be read.
pub fn guess_source(text: &str, limits: &Limits) -> Result<Source, Error> {
    let path = Path::new(text);
    if !path.exists() {
        return Source::parse(text).map_err(|error| Error::Usage(error.to_string()));
    }
    let path = text.to_owned();
    if Path::new(text).is_dir() {
        return Ok(Source::Layout { dir: path, tag: None, digest: None });
    }
    match kind_of_file(Path::new(text), limits)? {
        Some(Kind::Aci) => Ok(Source::Aci { file: path }),
        Some(Kind::OciArchive) => Ok(Source::Archive { file: path, tag: None, digest: None }),
        Some(Kind::DockerArchive) => {
            Ok(Source::DockerArchive { file: path, name: None, digest: None })
        }
        None => Err(Error::Usage(format!(
            "`{text}` is no archive that ocisign knows; name its kind: oci-archive:FILE, \
             docker-archive:FILE or aci:FILE"
        ))),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Aci,
    OciArchive,
    DockerArchive,
}

/// By the first bytes, then by the names in the tar. Only ACIs come
/// compressed.
fn kind_of_file(path: &Path, limits: &Limits) -> Result<Option<Kind>, Error> {
    let failed = |source| Error::File { what: format!("read `{}`", path.display()), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut magic = Vec::new();
    (&mut file).take(6).read_to_end(&mut magic).map_err(failed)?;
    let compressed: [&[u8]; 3] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"];
    if compressed.iter().any(|begin| magic.starts_with(begin)) {
        return Ok(Some(Kind::Aci));
    }
    let mut archive = tar::Archive::new(File::open(path).map_err(failed)?);
    let Ok(entries) = archive.entries_with_seek() else { return Ok(None) };
    let mut found = None;
    for entry in entries.take(limits.archive_entries) {
        // whoever opens it says what is wrong with it
        let Ok(entry) = entry else { break };
        let name = entry.path_bytes().into_owned();
        match name.strip_prefix(b"./").unwrap_or(&name) {
            b"manifest.json" | b"repositories" => return Ok(Some(Kind::DockerArchive)),
            b"oci-layout" => found = Some(Kind::OciArchive),
            b"manifest" => found = Some(Kind::Aci),
            name if name.ends_with(b"/layer.tar") => found = Some(Kind::DockerArchive),
            name if name.starts_with(b"rootfs/") && found.is_none() => found = Some(Kind::Aci),
            _ => {}
        }
    }
    Ok(found)
}
