//! What refers to an image: distribution-spec v1.1.1, "Listing Referrers".

use std::collections::HashSet;

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{StatusCode, Url};

use super::index::ReferrersIndex;
use super::session::{Call, Session};
use super::{fallback, link};
use crate::image::{Descriptor, Digest, media_type};
use crate::store::{Referrers, StoreError};

/// Answers of a registry that has no such API. The specification says 404;
/// the others are what registries from before it say to an unknown path.
/// None of them means "no referrers": the tag is read instead.
const NO_API: [StatusCode; 4] = [
    StatusCode::NOT_FOUND,
    StatusCode::BAD_REQUEST,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_ACCEPTABLE,
];

/// How many manifests of the largest size all pages of a listing may be.
const LISTING: u64 = 4;

/// Lists what refers to `subject`.
///
/// An error is never an empty list. A listing that runs into a bound, in
/// circles or away to another server keeps what came before and says so.
pub(super) async fn list(session: &Session, subject: &Digest) -> Result<Referrers, StoreError> {
    let mut listing = Listing::new(session);
    if listing.pages(subject).await? && !listing.entries.is_empty() {
        return Ok(listing.finish());
    }
    // A registry that has the API and lists nothing may have been upgraded
    // without taking over what its clients had written as tags.
    for tag in fallback::tags(subject) {
        match fallback::read(session, &tag).await? {
            Some(index) if index.manifests.is_empty() => {}
            Some(index) => {
                listing.take(&index);
                break;
            }
            None => {}
        }
    }
    Ok(listing.finish())
}

struct Listing<'a> {
    session: &'a Session,
    entries: Vec<Descriptor>,
    unread: usize,
    truncated: Option<String>,
}

impl<'a> Listing<'a> {
    fn new(session: &'a Session) -> Self {
        Self { session, entries: Vec::new(), unread: 0, truncated: None }
    }

    /// Reads the pages of the API. `false` where the registry has none.
    async fn pages(&mut self, subject: &Digest) -> Result<bool, StoreError> {
        let limits = self.session.limits();
        let mut url = self.session.endpoint.referrers(subject);
        let mut seen = HashSet::from([url.clone()]);
        let mut bytes_left = limits.manifest_bytes.saturating_mul(LISTING);
        for page in 0..limits.referrers_pages {
            let optional: &[StatusCode] = if page == 0 { &NO_API } else { &[] };
            let what = format!("the list of referrers of {subject}");
            let call = Call::get(url.clone(), what.clone())
                .header(ACCEPT, HeaderValue::from_static(media_type::OCI_INDEX));
            let max = limits.manifest_bytes.min(bytes_left);
            let fetched = match self.session.fetch(&call, max, optional).await {
                // the rest of a list cannot be "absent", its first page was there
                Err(StoreError::Absent { .. }) => Err(self
                    .session
                    .place
                    .protocol(format!("page {} of {what} is missing", page + 1))),
                Err(StoreError::TooLarge { .. }) if page > 0 => {
                    self.cut(format!("page {} was larger than what is left to read", page + 1));
                    return Ok(true);
                }
                other => other,
            };
            let Some(document) = fetched? else { return Ok(false) };
            bytes_left = bytes_left.saturating_sub(document.bytes.len() as u64);
            let index = ReferrersIndex::read(&document)
                .map_err(|why| self.session.place.protocol(format!("{what} {why}")))?;
            self.take(&index);
            let next = link::next(document.links.iter().map(String::as_str));
            let (Some(next), None) = (next, &self.truncated) else { return Ok(true) };
            match self.next_page(&url, &next, &mut seen) {
                Some(next) => url = next,
                None => return Ok(true),
            }
        }
        self.cut(format!("it has more than {} pages", limits.referrers_pages));
        Ok(true)
    }

    /// The URL of the next page: the registry's own, and not seen before.
    fn next_page(&mut self, from: &Url, link: &str, seen: &mut HashSet<Url>) -> Option<Url> {
        let target = self.session.target(from, link).ok();
        let own = target.filter(|url| self.session.endpoint.is_own(url));
        match own {
            Some(url) if seen.insert(url.clone()) => Some(url),
            Some(_) => {
                self.cut("its pages run in a circle");
                None
            }
            None => {
                self.cut("its next page is on another server");
                None
            }
        }
    }

    fn take(&mut self, index: &ReferrersIndex) {
        let most = self.session.limits().referrers;
        let (found, unread) = index.descriptors();
        self.unread += unread;
        let room = most.saturating_sub(self.entries.len());
        if found.len() > room {
            self.cut(format!("it has more than {most} entries"));
        }
        self.entries.extend(found.into_iter().take(room));
    }

    fn cut(&mut self, why: impl Into<String>) {
        self.truncated.get_or_insert_with(|| why.into());
    }

    fn finish(mut self) -> Referrers {
        if self.unread > 0 {
            let count = self.unread;
            self.session.notice(&format!("{count} entries of a list of referrers cannot be read"));
        }
        // Sorted by digest, then by all else, so that equal ones meet.
        self.entries.sort_by_cached_key(|entry| {
            (entry.digest.clone(), serde_json::to_string(entry).unwrap_or_default())
        });
        self.entries.dedup();
        Referrers { entries: self.entries, truncated: self.truncated }
    }
}
