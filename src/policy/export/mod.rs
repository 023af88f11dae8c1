//! A policy in the words of containers/image: `policy.json` and a file for
//! `registries.d`, for podman, CRI-O, skopeo and bootc.
//!
//! What the files allow the policy allows, at every later instant too. What
//! cannot be said so is an error that names the rule; what is denied in
//! excess is a remark. How each part maps, and why, stands in docs/export.md.
//!
//! ```text
//! scopes ─► places ─► one name of each kind ─► the rules that judge it ─► checks ─► clauses ─┐
//!                                                                                           ├─► files
//!                           all answers at one place must agree, or the stricter one is taken ┘
//! ```

mod checks;
mod clauses;
mod draft;
mod files;
mod places;
mod widen;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use self::draft::Draft;
use super::model::Policy;
use crate::evidence::KeyId;
use crate::limits::Limits;

/// The files, and what to know about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Content of `policy.json`.
    pub policy: String,
    /// Content of a file in `registries.d`.
    pub registries: String,
    /// From then on the policy denies what the files may still allow; `None`
    /// where that never comes.
    pub until: Option<Timestamp>,
    /// What the files deny and the policy would allow.
    pub stricter: Vec<Remark>,
    /// What else is needed for the files to work.
    pub notes: Vec<String>,
}

/// Where the files are stricter than the policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// `rule`, `rule/check`, a scope, or a JSON Pointer.
    pub about: String,
    /// How.
    pub text: String,
}

/// Something that the files cannot say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unsaid {
    /// `rule`, `rule/check`, or a JSON Pointer.
    pub about: String,
    /// Why not, and what to do.
    pub why: String,
}

/// What the user answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// What becomes of dates on which something ends.
    pub dates: Dates,
    /// What becomes of a repository and the names below it.
    pub subtrees: Subtrees,
    /// What becomes of `default-docker` in `registries.d`.
    pub default_docker: DefaultDocker,
}

/// What becomes of dates on which something ends: policy.json has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dates {
    /// They cannot be said.
    #[default]
    Refuse,
    /// The files are good until the first of them, and made again before.
    Snapshot,
}

/// What becomes of a repository and the names below it: to policy.json they
/// are one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subtrees {
    /// They are two scopes, and where they differ that cannot be said.
    #[default]
    Apart,
    /// A rule for the one holds for the other, if that has none.
    Widen,
}

/// Whether `default-docker` is written where `**` needs it. It may stand in
/// one file of `registries.d` only, and systems often bring one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DefaultDocker {
    /// It is left to the user.
    #[default]
    Leave,
    /// It is written.
    Write,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.about, self.text)
    }
}

impl fmt::Display for Unsaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.about, self.why)
    }
}

/// The files that come closest to `policy` as of `now` and are never looser.
///
/// `pems` has the public key of every [`KeyId`] of the policy.
///
/// # Errors
/// Everything that the files cannot say, sorted.
pub fn containers_policy(
    policy: &Policy,
    pems: &BTreeMap<KeyId, String>,
    options: &Options,
    now: Timestamp,
    limits: &Limits,
) -> Result<Export, Vec<Unsaid>> {
    let widened = match options.subtrees {
        Subtrees::Apart => None,
        Subtrees::Widen => Some(widen::widened(policy)),
    };
    let draft = Draft::read(widened.as_ref().unwrap_or(policy), options, now, limits)?;
    Ok(draft.finish(pems))
}
