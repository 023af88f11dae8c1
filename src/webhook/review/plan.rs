//! What there is to judge: the images of the new object, held against the old.

use std::collections::BTreeMap;

use crate::gate::{Answer, Undecided};
use crate::image::Reference;
use crate::webhook::PodAccess;

use super::respond::Judged;
use super::{Change, Operation, Review, Table, Unreadable, Use};

/// Subresources of pods that carry no image: their object is no pod, or the
/// API server keeps the spec that it has. What is in no list is denied.
const OF_PODS: &[&str] =
    &["resize", "binding", "eviction", "exec", "attach", "portforward", "proxy", "log"];
/// Subresources of every resource that carry none: a number of replicas, and
/// a status, beside which the API server keeps the spec that it has.
const OF_ALL: &[&str] = &["scale", "status"];

/// What a request asks of the gate.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Images to judge.
    pub uses: Vec<Use>,
    /// Images that stay: pinned, and the same in the old object. They are not
    /// judged again.
    pub kept: Vec<Use>,
    /// Why there is nothing to judge, where that needs no look at the object.
    pub nothing: Option<Nothing>,
}

/// Why a request has no images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nothing {
    /// The object goes away.
    Deleted,
    /// A connection carries no image: what runs already is not judged again.
    Connected,
    /// The subresource carries none.
    Subresource,
}

impl Nothing {
    /// The words for it in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "a removal starts no image",
            Self::Connected => "a connection starts no image",
            Self::Subresource => "the subresource carries no image",
        }
    }
}

/// One question for the gate: each image with each set of credentials once,
/// however many containers run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inquiry<'a> {
    /// The image.
    pub reference: &'a Reference,
    /// Whose credentials to use.
    pub access: &'a PodAccess,
}

impl Review {
    /// Finds the images of this request and tells those that stay from those
    /// that are to be judged.
    ///
    /// # Errors
    /// [`Unreadable`] where the object's images cannot be told. Deny.
    pub fn plan(&self, table: &Table) -> Result<Plan, Unreadable> {
        if let Some(nothing) = self.nothing()? {
            return Ok(Plan { uses: Vec::new(), kept: Vec::new(), nothing: Some(nothing) });
        }
        let object = self.object.as_ref().ok_or_else(|| {
            Unreadable::new("the request carries no object; send what an API server sends")
        })?;
        let mut uses = table.find(&self.kind, object)?;
        let old = match (self.operation, &self.old_object) {
            // an old object that cannot be read vouches for nothing
            (Operation::Update, Some(old)) => table.find(&self.kind, old).unwrap_or_default(),
            _ => Vec::new(),
        };
        compare(&mut uses, &old);
        let (kept, uses) = uses.into_iter().partition(stays);
        Ok(Plan { uses, kept, nothing: None })
    }

    fn nothing(&self) -> Result<Option<Nothing>, Unreadable> {
        let pods = self.resource.group.is_empty() && self.resource.resource == "pods";
        match (self.operation, self.sub_resource.as_deref()) {
            (Operation::Delete, _) => Ok(Some(Nothing::Deleted)),
            (Operation::Connect, _) => Ok(Some(Nothing::Connected)),
            (_, None) => Ok(None),
            (_, Some("ephemeralcontainers")) if pods => Ok(None),
            (_, Some(name)) if OF_ALL.contains(&name) => Ok(Some(Nothing::Subresource)),
            (_, Some(name)) if pods && OF_PODS.contains(&name) => Ok(Some(Nothing::Subresource)),
            (_, Some(name)) => Err(Unreadable::new(format!(
                "what `{}/{}` carries is not known here; take it out of the webhook's rules",
                crate::report::escaped(&self.resource.resource),
                crate::report::escaped(name)
            ))),
        }
    }
}

/// Which image an image is, whatever the order of its list: one of a named
/// container by that name, another one by its pointer.
fn identity(found: &Use) -> (&str, &str) {
    match found.name.is_empty() {
        true => (&found.pointer, ""),
        false => (&found.list, &found.name),
    }
}

/// Marks what the old object had with the same text at the same place.
fn compare(uses: &mut [Use], old: &[Use]) {
    let (before, now) = (texts(old), texts(uses));
    let same: Vec<bool> = uses
        .iter()
        .map(|found| match (before.get(&identity(found)), now.get(&identity(found))) {
            (Some(Some(before)), Some(Some(now))) => before == now,
            _ => false,
        })
        .collect();
    for (found, same) in uses.iter_mut().zip(same) {
        found.change = if same { Change::Unchanged } else { Change::New };
    }
}

/// The text of each image; `None` where two containers of one list share a
/// name, so that neither can stand for the other.
fn texts(uses: &[Use]) -> BTreeMap<(&str, &str), Option<String>> {
    let mut texts = BTreeMap::new();
    for found in uses {
        texts
            .entry(identity(found))
            .and_modify(|text| *text = None)
            .or_insert_with(|| Some(found.text.clone()));
    }
    texts
}

fn stays(found: &Use) -> bool {
    let pinned = found.reference.as_ref().is_ok_and(|reference| reference.digest().is_some());
    pinned && found.change == Change::Unchanged
}

impl Plan {
    /// What to ask the gate, each question once.
    pub fn inquiries(&self) -> Vec<Inquiry<'_>> {
        let mut asked: Vec<_> = self.uses.iter().filter_map(inquiry).collect();
        asked.sort();
        asked.dedup();
        asked
    }

    /// The answers, given in the order of [`Plan::inquiries`], spread over
    /// the uses. A question without an answer stays unasked, which denies.
    pub fn judged(&self, answers: Vec<Result<Answer, Undecided>>) -> Vec<Judged> {
        let told: BTreeMap<_, _> = self.inquiries().into_iter().zip(answers).collect();
        let of = |found: &Use| match inquiry(found).and_then(|asked| told.get(&asked)) {
            Some(Ok(answer)) => Judged::Answered(answer.clone()),
            Some(Err(why)) => Judged::Undecided(why.clone()),
            None => Judged::NotAsked,
        };
        self.uses.iter().map(of).collect()
    }
}

fn inquiry(found: &Use) -> Option<Inquiry<'_>> {
    let reference = found.reference.as_ref().ok()?;
    Some(Inquiry { reference, access: &found.access })
}
