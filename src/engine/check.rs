//! The whole pipe for one image, from its name to the verdict.

use jiff::Timestamp;

use super::discover::{self, Gathered};
use super::whole::Grown;
use super::{Error, Hashed, Image, Progress, fetch};
use crate::envelope::Candidate;
use crate::image::{Algorithm, Depth, Digest, Hasher, ImageTree, NodeState, Shape};
use crate::limits::Limits;
use crate::policy::{self, Decision, Policy, Request, Verdict};
use crate::trust::Trust;

/// A policy, the keys it trusts, and bounds: what decides. Immutable, shared
/// freely between threads.
#[derive(Debug, Clone)]
pub struct Engine {
    policy: Policy,
    trust: Trust,
    limits: Limits,
    epoch: Digest,
}

/// How one question is asked.
#[derive(Clone)]
pub struct Ask<'a> {
    /// How deep to recompute the image; the policy may ask for more.
    pub depth: Depth,
    /// The index whose signature is to count, where the image is one of its
    /// children.
    pub parent: Option<Digest>,
    /// Told of bytes as they are hashed.
    pub progress: &'a dyn Progress,
    /// What was hashed before, so that it need not be fetched again.
    pub hashed: &'a dyn Hashed,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self {
            depth: Depth::Layers,
            parent: None,
            progress: &super::Silent,
            hashed: &super::Forgetful,
        }
    }
}

impl Engine {
    /// Puts an engine together from parts.
    pub fn new(policy: Policy, trust: Trust, limits: Limits) -> Self {
        let epoch = epoch(&policy, &trust, &limits);
        Self { policy, trust, limits, epoch }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The keys under which signatures are evidence.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The bounds.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A digest over the keys that decide, who holds them and the bounds:
    /// with another epoch the same policy may give another verdict.
    pub fn epoch(&self) -> &Digest {
        &self.epoch
    }

    /// Decides on one image, as of `now`.
    ///
    /// A digest or size that does not match is no error but the verdict
    /// *deny: integrity*.
    ///
    /// # Errors
    /// [`Error`] where the image or its signatures could not be read;
    /// [`Error::Deadline`] where that took too long.
    pub async fn check(
        &self,
        image: &Image,
        ask: &Ask<'_>,
        now: Timestamp,
    ) -> Result<Verdict, Error> {
        let deadline = self.limits.deadline;
        match tokio::time::timeout(deadline, self.check_unbounded(image, ask, now)).await {
            Ok(verdict) => verdict,
            Err(_) => Err(Error::Deadline(deadline)),
        }
    }

    async fn check_unbounded(
        &self,
        image: &Image,
        ask: &Ask<'_>,
        now: Timestamp,
    ) -> Result<Verdict, Error> {
        let image = match &ask.parent {
            Some(parent) => parent_of(image, parent, &self.limits).await?,
            None => image.clone(),
        };
        let asked = policy::required_depth(&self.policy, image.reference().repository());
        let depth = ask.depth.max(asked.unwrap_or(ask.depth));
        let Grown { tree, signed } = fetch::grow(&image, depth, true, &self.limits, ask).await?;
        let mut request = Request {
            reference: image.reference().clone(),
            digest: tree.root().digest.clone(),
            depth,
            incomplete: Vec::new(),
        };
        let gathered = match soundness(tree.shape()) {
            // the tree alone decides; no signature could change it
            Soundness::Broken(_) => Gathered::default(),
            Soundness::Sound | Soundness::Incomplete(_) => {
                let mut gathered = self.gather(&image, &mut request, &tree, now).await?;
                gathered.extend(discover::detached(signed, &self.trust, &tree.root().digest));
                gathered
            }
        };
        Ok(self.decide(&request, &tree, &gathered, now))
    }

    /// Fetches and verifies what is attached to the nodes that the policy
    /// asks about. Evidence can only help, so once it allows no more is read.
    async fn gather(
        &self,
        image: &Image,
        request: &mut Request,
        tree: &ImageTree,
        now: Timestamp,
    ) -> Result<Gathered, Error> {
        let mut gathered = Gathered::default();
        for subject in policy::wanted_subjects(&self.policy, request, tree.shape()) {
            let own = tree.signed().find(|(digest, _)| **digest == subject);
            let own =
                own.map(|(_, bytes)| Candidate::libtrust(subject.to_string(), bytes.to_vec()));
            let listed = discover::list(image.store(), &subject, &self.limits).await?;
            let listed = listed.with_own(own);
            let mut listed = match self.trust.keyring().certificates().next() {
                Some(_) => listed,
                None => listed.without_openpgp(),
            };
            while let Some(batch) = listed.next_batch(&self.trust).await? {
                gathered.extend(batch);
                if listed.is_long()
                    && self.decide(request, tree, &gathered, now).decision == Decision::Allow
                {
                    return Ok(gathered);
                }
            }
            request.incomplete.extend(listed.incomplete());
        }
        Ok(gathered)
    }

    fn decide(
        &self,
        request: &Request,
        tree: &ImageTree,
        gathered: &Gathered,
        now: Timestamp,
    ) -> Verdict {
        let Gathered { evidence, rejections } = gathered;
        policy::decide(&self.policy, request, tree, evidence, rejections, now)
    }
}

fn epoch(policy: &Policy, trust: &Trust, limits: &Limits) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut add = |text: String| {
        hasher.update(&(text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    };
    for name in policy.document().signers.keys() {
        for key in policy.keys(name) {
            add(format!("{name:?} holds {} until {:?}", key.id, key.until));
        }
    }
    trust.keys().for_each(|(id, _)| add(format!("trusted: {id}")));
    let certificates = trust.keyring().certificates();
    certificates.for_each(|c| add(format!("trusted: {c:?}")));
    add(format!("{limits:?}"));
    hasher.finish()
}

/// The same name at the digest of its index, if the image is in it.
async fn parent_of(image: &Image, parent: &Digest, limits: &Limits) -> Result<Image, Error> {
    let child = fetch::resolve(image, limits).await?;
    let index = image.at(parent.clone());
    let tree = fetch::read_tree(&index, Depth::Manifests, limits, &super::Silent).await?;
    let child = child.to_string();
    let nodes = &tree.shape().nodes;
    if nodes.iter().any(|n| n.digest == child && n.state == NodeState::Verified) {
        return Ok(index);
    }
    Err(Error::Invalid(format!(
        "`{parent}` is no index over {child}; name the one that was signed"
    )))
}

/// What a tree is worth by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Soundness {
    /// Every node is what its digest says.
    Sound,
    /// A node is not; the text says which and how.
    Broken(String),
    /// A node could not be read; the text says which and why.
    Incomplete(String),
}

/// Judges a tree without a policy. A broken node outranks an unread one.
pub fn soundness(shape: &Shape) -> Soundness {
    let mut answer = Soundness::Sound;
    for node in &shape.nodes {
        let at = format!("{} {}", node.kind, node.digest);
        let (broken, why) = match &node.state {
            NodeState::Verified | NodeState::NotRead | NodeState::NotContentAddressed(_) => {
                continue;
            }
            NodeState::Mismatch(what) => (true, format!("{at}: {what}")),
            NodeState::SizeMismatch(what) => (true, format!("{at}: {what}")),
            NodeState::Unverifiable(what) => (true, format!("{at}: {what}")),
            NodeState::Ambiguous(what) => (true, format!("{at} is ambiguous: {what}")),
            NodeState::Malformed(what) => (true, format!("{at} is malformed: {what}")),
            NodeState::Missing => (false, format!("{at} is missing")),
            NodeState::External(_) => (false, format!("{at} lies elsewhere and was not fetched")),
            NodeState::LimitExceeded(what) => (false, format!("{at}: limit exceeded: {what}")),
            NodeState::Unpinned(what) => (true, format!("{at} is not pinned: {what}")),
        };
        if broken {
            return Soundness::Broken(why);
        }
        if answer == Soundness::Sound {
            answer = Soundness::Incomplete(why);
        }
    }
    answer
}
