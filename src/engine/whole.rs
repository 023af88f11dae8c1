//! Images that are one file and have no manifest: read once, from its begin
//! to its end, by whatever reads that format.

use std::io::Read as _;
use std::os::unix::fs::FileExt as _;

use super::{Ask, Error};
use crate::image::{Depth, Digest, FileHasher, ImageTree};
use crate::limits::Limits;
use crate::store::{Whole, WholeFormat};

/// Bytes of one read.
const CHUNK: usize = 256 << 10;

/// Reads a file that is an image, and what is in it.
pub(super) async fn grow(
    whole: &Whole,
    _depth: Depth,
    _limits: &Limits,
    _ask: &Ask<'_>,
) -> Result<ImageTree, Error> {
    match whole.format {
        WholeFormat::DockerV1 | WholeFormat::Aci => {
            Err(Error::Usage("images that are one file are not read yet".to_owned()))
        }
    }
}

/// The digest of the file.
pub(super) async fn digest(whole: &Whole) -> Result<Digest, Error> {
    let whole = whole.clone();
    let hash = move || {
        let mut hasher = FileHasher::default();
        let mut reader = Reader { whole: &whole, at: 0 };
        let mut buffer = vec![0; CHUNK];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(hasher.finish().digest().clone()),
                n => hasher.update(buffer.get(..n).unwrap_or_default()),
            }
        }
    };
    let failed = |source| Error::File { what: "read the file".to_owned(), source };
    tokio::task::spawn_blocking(hash).await.map_err(|e| failed(e.into()))?.map_err(failed)
}

/// The bytes of the file from its begin, by `pread`: whoever else has it open
/// does not move where this one reads.
struct Reader<'a> {
    whole: &'a Whole,
    at: u64,
}

impl std::io::Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.whole.file.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
