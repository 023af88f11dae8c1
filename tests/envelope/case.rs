//! One directory of vectors.

use std::path::{Path, PathBuf};

use ocisign::crypto::PublicKey;
use ocisign::envelope::{Candidate, layers_of_referrer, layers_of_tag};
use ocisign::evidence::{Evidence, Reason, Rejection, Subject};
use ocisign::image::Digest;
use ocisign::limits::Limits;
use ocisign::trust::Trust;
use ocisign::verify::verify;

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) json: serde_json::Value,
    pub(crate) subject: Digest,
    pub(crate) key: PublicKey,
    manifest: Vec<u8>,
    blob: Vec<u8>,
}

impl Case {
    /// Every directory below `tests/data/sigstore` and `tests/data/cosign`.
    pub(crate) fn all() -> Vec<Self> {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let mut folders: Vec<PathBuf> = ["sigstore", "cosign"]
            .iter()
            .flat_map(|format| std::fs::read_dir(data.join(format)).unwrap())
            .map(|entry| entry.unwrap().path())
            .collect();
        folders.sort();
        folders.iter().map(|folder| Self::read(folder)).collect()
    }

    /// The accepted ones.
    pub(crate) fn accepted() -> impl Iterator<Item = Self> {
        Self::all().into_iter().filter(|case| case.expected("expect") == Some("accept"))
    }

    fn read(folder: &Path) -> Self {
        let file = |name: &str| std::fs::read(folder.join(name));
        let json: serde_json::Value = serde_json::from_slice(&file("case.json").unwrap()).unwrap();
        let limits = Limits::default();
        Self {
            name: folder.display().to_string(),
            subject: json["subject"].as_str().unwrap().parse().unwrap(),
            json,
            key: PublicKey::from_pem(&file("key.pub").unwrap(), &limits).unwrap(),
            manifest: file("manifest.json").unwrap(),
            blob: file("bundle.json").or_else(|_| file("payload.json")).unwrap(),
        }
    }

    /// What `case.json` says about `field`.
    pub(crate) fn expected(&self, field: &str) -> Option<&str> {
        self.json.get(field).and_then(|value| value.as_str())
    }

    /// The candidate, by way of the manifest that carries it.
    pub(crate) fn candidate(&self) -> Result<Candidate, Rejection> {
        let limits = Limits::default();
        let is_tag = self.name.contains("/cosign/") && !self.manifest_text().contains("subject");
        let layers = if is_tag {
            layers_of_tag(&self.manifest, &limits)
        } else {
            layers_of_referrer(&self.manifest, &self.subject, &limits)
        };
        let rejected = |reason: Reason| Rejection { item: self.name.clone(), format: None, reason };
        let layers = layers.map_err(rejected)?;
        assert_eq!(layers.len(), 1, "{}: the vectors carry one signature each", self.name);
        Candidate::listed(self.name.clone(), &layers[0], self.blob.clone())
    }

    /// What becomes of it for somebody who trusts its key.
    pub(crate) fn outcome(&self) -> Result<Evidence, Rejection> {
        self.verify(&self.candidate()?)
    }

    /// The same for a candidate made from it.
    pub(crate) fn verify(&self, candidate: &Candidate) -> Result<Evidence, Rejection> {
        let subject = Subject { digest: self.subject.clone(), size: None, media_type: None };
        let trust = Trust::new([self.key.clone()]);
        verify(candidate, &trust, &subject, &Limits::default())
    }

    fn manifest_text(&self) -> &str {
        std::str::from_utf8(&self.manifest).unwrap()
    }
}
