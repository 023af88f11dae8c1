//! Copying by name: opens both ends, makes what does not exist yet.

use std::path::Path;
use std::sync::Arc;

use super::copy::{Copied, copy};
use super::open::{open_store, target};
use super::{Access, Error};
use crate::image::Source;
use crate::limits::Limits;
use crate::store::{Layout, Store, StoreError, write_archive};

/// Copies an image, with what refers to it, from one named place to another.
///
/// A layout is made where there is none; an archive is written anew and must
/// not exist.
///
/// # Errors
/// [`Error::Copy`] where a digest does not match or a part is missing,
/// [`Error::Store`] where a place cannot be opened.
pub async fn copy_image(
    source: &Source,
    destination: &Source,
    access: &Access,
    with_referrers: bool,
    limits: &Limits,
) -> Result<Copied, Error> {
    let from = open_store(source, access, limits)?;
    let (tag, digest) = (source.tag(), source.digest());
    let target = target(tag, digest);
    let (tag, digest) = (destination.tag(), destination.digest());
    if let Some(digest) = digest {
        return Err(Error::Usage(format!("a destination takes a tag; leave `@{digest}` out")));
    }
    let run = async |to: &dyn Store| {
        copy(from.as_ref(), &target, to, tag, with_referrers, limits).await.map_err(Error::from)
    };
    // nothing that is written to is asked for what lies elsewhere
    let inside = Access { fetch_external: false, ..access.clone() };
    match destination {
        Source::Registry(_) => run(open_store(destination, &inside, limits)?.as_ref()).await,
        Source::Layout { dir, .. } => run(layout(Path::new(dir), limits)?.as_ref()).await,
        Source::DockerArchive { .. } | Source::Aci { .. } | Source::AciName(_) => {
            Err(Error::Usage(format!(
                "{destination} is only read; copy to a registry, oci:DIR or oci-archive:FILE"
            )))
        }
        Source::Archive { file, .. } => {
            let failed = |source| Error::File { what: format!("write `{file}`"), source };
            if Path::new(file).exists() {
                return Err(Error::Usage(format!("`{file}` exists; name a file that does not")));
            }
            let scratch = tempfile::tempdir().map_err(failed)?;
            let to = Layout::create(scratch.path(), limits.clone())?;
            let copied = run(&to).await?;
            write_archive(&to, Path::new(file))?;
            Ok(copied)
        }
    }
}

fn layout(dir: &Path, limits: &Limits) -> Result<Arc<dyn Store>, StoreError> {
    Ok(if dir.exists() {
        Arc::new(Layout::open(dir, limits.clone())?)
    } else {
        Arc::new(Layout::create(dir, limits.clone())?)
    })
}
