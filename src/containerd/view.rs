//! One image as the plugin sees it: by the descriptor that containerd has,
//! from several servers, with what was kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};

use super::kept::{Listing, Recorder};
use crate::image::{Algorithm, Descriptor, Digest, Repository, manifest_digest};
use crate::limits::Limits;
use crate::store::{
    Blob, Cached, RawManifest, Referrers, Shelf, Store, StoreError, Target, chunks,
};

/// Where the lists of signatures come from.
#[derive(Debug, Clone)]
pub(super) enum Lists {
    /// From the pull before.
    Kept(Listing),
    /// From the servers; taken down for the next pull.
    Fresh(Arc<Recorder>),
}

/// The store that one image is verified in.
#[derive(Debug)]
pub(super) struct View {
    content: Arc<dyn Store>,
    root: Descriptor,
    lists: Lists,
}

impl View {
    /// `root` is what containerd pulls: the bytes of its digest are read
    /// under its media type and size, whatever a server says of them.
    pub(super) fn new(
        repository: &Repository,
        servers: Vec<Arc<Server>>,
        root: Descriptor,
        lists: Lists,
        shelf: Option<(Arc<dyn Shelf>, u64)>,
    ) -> Self {
        // what is kept is kept for the repository, whichever server gave it
        let content: Arc<dyn Store> = Arc::new(Several { place: repository.to_string(), servers });
        let content = match shelf {
            Some((shelf, most)) => Arc::new(Cached::new(content, shelf, most)),
            None => content,
        };
        Self { content, root, lists }
    }

    fn not_kept(&self, what: &str) -> StoreError {
        StoreError::Unreachable {
            place: self.place(),
            reason: format!("{what} was not kept; it is asked for anew"),
        }
    }

    async fn tag(&self, tag: &str, max: u64) -> Result<RawManifest, StoreError> {
        let target = Target::Tag(tag.to_owned());
        match &self.lists {
            Lists::Kept(listing) => match listing.tag(tag) {
                None => Err(self.not_kept(tag)),
                Some(None) => Err(absent(tag, &self.place())),
                Some(Some(digest)) => {
                    self.content.manifest(&Target::Digest(digest.clone()), max).await
                }
            },
            Lists::Fresh(recorder) => {
                let answer = self.content.manifest(&target, max).await;
                match &answer {
                    Ok(raw) => recorder.tag(tag, Some(named(raw, Algorithm::Sha256))),
                    Err(StoreError::Absent { .. }) => recorder.tag(tag, None),
                    Err(_) => {}
                }
                answer
            }
        }
    }
}

#[async_trait]
impl Store for View {
    fn place(&self) -> String {
        self.content.place()
    }

    async fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        match target {
            Target::Tag(tag) => self.tag(tag, max).await,
            Target::Digest(digest) if *digest == self.root.digest => {
                let raw = self.content.manifest(target, max).await?;
                Ok(RawManifest {
                    bytes: raw.bytes,
                    media_type: Some(self.root.media_type.clone()),
                    claimed: Some(self.root.clone()),
                })
            }
            Target::Digest(_) | Target::Only => self.content.manifest(target, max).await,
        }
    }

    async fn blob(&self, digest: &Digest, size: u64) -> Result<Blob, StoreError> {
        self.content.blob(digest, size).await
    }

    async fn referrers(&self, subject: &Digest) -> Result<Referrers, StoreError> {
        match &self.lists {
            Lists::Kept(listing) => {
                listing.referrers(subject).ok_or_else(|| self.not_kept("its list of signatures"))
            }
            Lists::Fresh(recorder) => {
                let listed = self.content.referrers(subject).await?;
                recorder.referrers(subject, &listed);
                Ok(listed)
            }
        }
    }

    async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        self.content.has_blob(digest, size).await
    }

    async fn push_blob(&self, _: &Descriptor, _: Blob) -> Result<(), StoreError> {
        Err(read_only(self.place()))
    }

    async fn push_manifest(
        &self,
        _: &Descriptor,
        _: &[u8],
        _: Option<&str>,
    ) -> Result<(), StoreError> {
        Err(read_only(self.place()))
    }
}

/// One server, and whether it let us down.
#[derive(Debug)]
pub(super) struct Server {
    store: Arc<dyn Store>,
    sick: AtomicBool,
}

impl Server {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, sick: AtomicBool::new(false) }
    }

    /// Takes down that it failed, stalled or lied: it is passed over from
    /// now on, so that it costs its time once and not for every request.
    pub(super) fn let_us_down(&self) {
        self.sick.store(true, Ordering::Relaxed);
    }

    fn passed_over(&self) -> StoreError {
        StoreError::Unreachable {
            place: self.store.place(),
            reason: "it failed before and was not asked again".to_owned(),
        }
    }
}

/// Servers that have the same content. One that fails or gives other bytes
/// is passed over for the next, as containerd does; the last one is always
/// asked, and its answer stands.
#[derive(Debug)]
struct Several {
    place: String,
    servers: Vec<Arc<Server>>,
}

impl Several {
    /// The servers, and whether each is the last.
    fn each(&self) -> impl Iterator<Item = (&Server, bool)> {
        let count = self.servers.len();
        self.servers.iter().enumerate().map(move |(at, server)| (&**server, at + 1 == count))
    }

    /// Asks one server, unless it is known to fail and there are others.
    async fn ask<T>(
        &self,
        server: &Server,
        last: bool,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if server.sick.load(Ordering::Relaxed) && !last {
            return Err(server.passed_over());
        }
        let answer = question.await;
        match &answer {
            Ok(_) | Err(StoreError::Absent { .. } | StoreError::TooLarge { .. }) => {}
            Err(_) => server.let_us_down(),
        }
        answer
    }

    /// Of several failures the one that says most: what is absent everywhere
    /// is absent, and what could not be asked for somewhere is not.
    fn worse(one: Option<StoreError>, other: StoreError) -> StoreError {
        match (one, other) {
            (Some(failed), StoreError::Absent { .. }) => failed,
            (_, other) => other,
        }
    }

    fn nobody(&self) -> StoreError {
        StoreError::Unreachable {
            place: self.place.clone(),
            reason: "it has no server; look at containerd's hosts".to_owned(),
        }
    }
}

#[async_trait]
impl Store for Several {
    fn place(&self) -> String {
        self.place.clone()
    }

    async fn manifest(&self, target: &Target, max: u64) -> Result<RawManifest, StoreError> {
        let (mut failed, mut lied) = (None, None);
        for (server, last) in self.each() {
            let question = server.store.manifest(target, max);
            match (self.ask(server, last, question).await, target) {
                (Ok(raw), Target::Digest(digest)) if named(&raw, digest.algorithm()) != *digest => {
                    server.let_us_down();
                    lied = Some(raw);
                }
                (Ok(raw), _) => return Ok(raw),
                (Err(error), _) => failed = Some(Self::worse(failed, error)),
            }
        }
        match (failed, lied) {
            (None, Some(raw)) => Ok(raw),
            (Some(error), _) => Err(error),
            (None, None) => Err(self.nobody()),
        }
    }

    async fn blob(&self, digest: &Digest, size: u64) -> Result<Blob, StoreError> {
        let mut failed = None;
        for (server, last) in self.each() {
            let question = server.store.blob(digest, size);
            match self.ask(server, last, question).await {
                Ok(blob) if last || size > SMALL => return Ok(blob),
                Ok(blob) => match whole(blob, digest, size).await {
                    Ok(Some(blob)) => return Ok(blob),
                    Ok(None) => server.let_us_down(),
                    Err(error) => {
                        server.let_us_down();
                        failed = Some(Self::worse(failed, error));
                    }
                },
                Err(error) => failed = Some(Self::worse(failed, error)),
            }
        }
        Err(failed.unwrap_or_else(|| self.nobody()))
    }

    /// What any of them lists. Where one could not be asked the list is cut
    /// short, and says so.
    async fn referrers(&self, subject: &Digest) -> Result<Referrers, StoreError> {
        let mut all: Option<Referrers> = None;
        let mut failed = None;
        for (server, last) in self.each() {
            match self.ask(server, last, server.store.referrers(subject)).await {
                Ok(listed) => {
                    let all = all.get_or_insert_default();
                    all.entries.extend(listed.entries);
                    all.truncated = all.truncated.take().or(listed.truncated);
                }
                Err(error) => failed = Some(error),
            }
        }
        match (all, failed) {
            (Some(mut all), failed) => {
                let cut = failed.map(|error| error.to_string());
                all.truncated = all.truncated.take().or(cut);
                Ok(all)
            }
            (None, failed) => Err(failed.unwrap_or_else(|| self.nobody())),
        }
    }

    async fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        for (server, last) in self.each() {
            if self.ask(server, last, server.store.has_blob(digest, size)).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn push_blob(&self, _: &Descriptor, _: Blob) -> Result<(), StoreError> {
        Err(read_only(self.place()))
    }

    async fn push_manifest(
        &self,
        _: &Descriptor,
        _: &[u8],
        _: Option<&str>,
    ) -> Result<(), StoreError> {
        Err(read_only(self.place()))
    }
}

/// Blobs up to this are read whole before a server's answer counts.
const SMALL: u64 = 4 << 20;

/// A blob that is what its digest says; `None` where it is not.
async fn whole(blob: Blob, digest: &Digest, size: u64) -> Result<Option<Blob>, StoreError> {
    let mut bytes = Vec::new();
    let mut stream = chunks(blob);
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() as u64 > size {
            return Ok(None);
        }
    }
    let sound = digest.matches(&bytes);
    Ok(sound.then(|| {
        let chunk = Ok(crate::store::Chunk::from(bytes));
        Blob::Stream(stream::once(std::future::ready(chunk)).boxed())
    }))
}

fn named(raw: &RawManifest, algorithm: Algorithm) -> Digest {
    manifest_digest(algorithm, raw.media_type.as_deref(), &raw.bytes, &Limits::default())
}

fn absent(what: &str, place: &str) -> StoreError {
    StoreError::Absent { what: what.to_owned(), place: place.to_owned() }
}

fn read_only(place: String) -> StoreError {
    StoreError::ReadOnly { place, reason: "a verifier writes nothing".to_owned() }
}
