//! The log of an audit: JSON lines, written as answers come, read back by
//! whoever goes on or makes a report.
//!
//! ```text
//! {"type":"audit", policy, depth, shard}     one for each time that it ran
//! {"type":"unlisted", resource, reason}      what could not be looked at
//! {"type":"image", image, decision, causes}  one for each answer; the last counts
//! {"type":"gone", image}                     is not asked about any more
//! {"type":"summary", images, deny}           the end of a whole audit
//! ```

mod read;
mod write;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Record, Shard, Totals};
use crate::engine::Engine;
use crate::image::json::JsonError;
use crate::image::{Depth, Digest};

pub use read::Log;
pub use write::Writer;

/// Version of the log.
const VERSION: &str = "audit/1";

/// What one audit is about. Lines of two audits count together only where
/// this is the same in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// Version of the log: `audit/1`.
    version: String,
    /// Name of the policy.
    pub policy: String,
    /// Edition of the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// Digest of the policy's bytes.
    pub policy_digest: Digest,
    /// Digest over the keys that its files held.
    pub keys_digest: Digest,
    /// How deep images were recomputed.
    pub depth: Depth,
    /// Which part of the images it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// Where the images are from.
    pub input: Input,
    /// When it began.
    pub started: Timestamp,
    /// The ocisign that ran.
    pub ocisign: String,
}

/// Where the images of an audit are from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Input {
    /// A list.
    List {
        /// Its file; `None` for standard input.
        #[serde(default)]
        file: Option<String>,
    },
    /// What a cluster runs.
    Cluster {
        /// Only these namespaces; empty for all.
        #[serde(default)]
        namespaces: Vec<String>,
    },
}

impl Header {
    /// The header of an audit that begins now.
    pub fn new(engine: &Engine, depth: Depth, shard: Option<Shard>, input: Input) -> Self {
        let policy = engine.policy();
        let document = policy.document();
        let keys: Vec<_> = document
            .signers
            .keys()
            .map(|signer| (signer, policy.keys(signer).iter().map(|key| key.id.to_string())))
            .map(|(signer, keys)| (signer, keys.collect::<Vec<_>>()))
            .collect();
        // plain text, so this cannot fail
        let keys = serde_json::to_vec(&keys).unwrap_or_default();
        Self {
            version: VERSION.to_owned(),
            policy: document.name.clone(),
            serial: document.serial,
            policy_digest: document.digest.clone(),
            keys_digest: Digest::sha256(&keys),
            depth,
            shard,
            input,
            started: Timestamp::now(),
            ocisign: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Whether answers of both may stand in one report, shards apart.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn agrees(&self, other: &Self) -> Result<(), String> {
        let differs = |what: &str, one: &dyn ToString, two: &dyn ToString| {
            Err(format!(
                "{what} is {} in one and {} in the other",
                one.to_string(),
                two.to_string()
            ))
        };
        if self.policy_digest != other.policy_digest {
            return differs("the policy", &self.policy_digest, &other.policy_digest);
        }
        if self.keys_digest != other.keys_digest {
            return Err("the policy's key files hold other keys".to_owned());
        }
        if self.depth != other.depth {
            return differs("the depth", &self.depth.as_str(), &other.depth.as_str());
        }
        Ok(())
    }
}

impl Header {
    /// Whether this run may go on where `earlier` ended.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn goes_on(&self, earlier: &Self) -> Result<(), String> {
        earlier.agrees(self)?;
        if earlier.shard != self.shard {
            let shown = |shard: Option<Shard>| match shard {
                Some(shard) => format!("of shard {shard}"),
                None => "of all images".to_owned(),
            };
            return Err(format!("it is {}, not {}", shown(earlier.shard), shown(self.shard)));
        }
        Ok(())
    }
}

/// Objects that could not be looked at, so that nobody knows their images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlisted {
    /// What it is: `deployments.apps`, `shard 2/4`.
    pub what: String,
    /// Why, and what to do.
    pub why: String,
}

/// The end of a whole audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    totals: Totals,
    /// Kinds of objects that could not be looked at.
    unlisted: u64,
    finished: Timestamp,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Entry {
    Audit(Header),
    Unlisted(Unlisted),
    Image(Box<Record>),
    Gone(Gone),
    Summary(Summary),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gone {
    image: String,
}

/// Why a log cannot be read or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A line is not what an audit writes.
    #[error("line {line}: {why}; start with another file, or mend this one")]
    Line {
        /// Which.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// It is of another audit.
    #[error("it is of another audit: {0}; start with another file")]
    Other(String),
    /// It has more images than the limit.
    #[error("it has more than {0} images")]
    TooMany(usize),
    /// Another process writes it.
    #[error("another audit writes it; wait for it, or end it")]
    Busy,
    /// The system failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl LogError {
    fn line(line: u64, why: impl ToString) -> Self {
        Self::Line { line, why: why.to_string() }
    }

    fn json(line: u64, error: &JsonError) -> Self {
        Self::line(line, error)
    }
}
