//! Images that are one file and have no manifest: read once, from its begin
//! to its end, by whatever reads that format.

pub(super) mod pass;

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::{Ask, Error, Image, aci, docker_v1};
use crate::crypto::openpgp::{ContentHash, Detached, OpenPgpError, PgpFailure};
use crate::evidence::{Format, Reason, Rejection};
use crate::image::{Depth, Digest, FileHasher, ImageTree};
use crate::limits::Limits;
use crate::store::{Beside, Loose, StoreError, Whole, WholeFormat};

/// Bytes of one read.
pub(super) const CHUNK: usize = 256 << 10;

/// A tree, and the detached signatures for which the same bytes were hashed
/// in the same pass.
pub(super) struct Grown {
    pub(super) tree: ImageTree,
    pub(super) signed: Vec<Signed>,
}

/// A detached signature over the whole file.
pub(super) struct Signed {
    /// Where it lies, for people.
    pub(super) item: String,
    /// The key that it says it was made with.
    pub(super) hint: Option<String>,
    /// The hash of the content; `None` where none could make it count.
    pub(super) hash: Option<ContentHash>,
    /// Why none could.
    pub(super) reason: Option<Reason>,
}

impl Signed {
    /// The record that it proves nothing.
    pub(super) fn rejected(item: String, reason: Reason) -> Rejection {
        Rejection { item, format: Some(Format::Appc), reason }
    }
}

/// Reads a file that is an image, and what is in it. With `signatures` the
/// bytes are hashed for the detached ones too.
pub(super) async fn grow(
    image: &Image,
    whole: &Whole,
    depth: Depth,
    signatures: bool,
    limits: &Limits,
    ask: &Ask<'_>,
) -> Result<Grown, Error> {
    match whole.format {
        WholeFormat::DockerV1 => docker_v1::grow(image, whole, depth, limits, ask.progress).await,
        WholeFormat::Aci => {
            let signed = match signatures {
                true => detached(image, limits).await?,
                false => Vec::new(),
            };
            aci::grow(image, whole, depth, signed, limits, ask.progress).await
        }
    }
}

/// The detached signatures over an image that is one file.
pub(super) async fn detached(image: &Image, limits: &Limits) -> Result<Vec<Signed>, Error> {
    let Beside { found, failed, .. } = image.store().detached().await?;
    let mut all = signed(found, limits);
    for (item, error) in failed {
        match error {
            StoreError::TooLarge { .. } => {
                let reason = Some(Reason::LimitExceeded(error.to_string()));
                all.push(Signed { item, hint: None, hash: None, reason });
            }
            error => return Err(error.into()),
        }
    }
    Ok(all)
}

/// Takes files of detached signatures apart.
fn signed(files: Vec<Loose>, limits: &Limits) -> Vec<Signed> {
    let mut all = Vec::new();
    for Loose { item, bytes, .. } in files {
        match Detached::parse(&bytes, limits) {
            Ok(signatures) => {
                let one = signatures.len() == 1;
                for (at, signature) in signatures.iter().enumerate() {
                    let item = if one { item.clone() } else { format!("{item}#{at}") };
                    all.push(begun(item, signature));
                }
            }
            Err(error) => {
                let reason = match error {
                    OpenPgpError::Malformed(why) => Reason::Malformed(why),
                    OpenPgpError::Limit(why) => Reason::LimitExceeded(why),
                    OpenPgpError::Unsupported(why) => Reason::Unsupported(why),
                };
                all.push(Signed { item, hint: None, hash: None, reason: Some(reason) });
            }
        }
    }
    for late in all.iter_mut().skip(limits.detached_signatures) {
        let most = limits.detached_signatures;
        late.hash = None;
        late.reason = Some(Reason::LimitExceeded(format!("more than {most} signatures")));
    }
    all
}

fn begun(item: String, signature: &Detached) -> Signed {
    let (hash, reason) = match signature.begin() {
        Ok(hash) => (Some(hash), None),
        Err(PgpFailure::Bad) => (None, Some(Reason::BadSignature)),
        Err(PgpFailure::UnknownKey(key)) => (None, Some(Reason::UnknownKey(key))),
        Err(PgpFailure::Unfit(why)) => (None, Some(Reason::Unfit(why))),
    };
    Signed { item, hint: signature.hint(), hash, reason }
}

/// The digest of the file.
pub(super) async fn digest(file: &Arc<File>) -> Result<Digest, Error> {
    let file = file.clone();
    let hash = move || {
        let mut hasher = FileHasher::default();
        let mut reader = Reader::new(&file);
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
pub(super) struct Reader<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Self { file, at: 0 }
    }
}

impl std::io::Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
