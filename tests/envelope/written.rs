//! What ocisign writes is, but for the facts themselves, what cosign writes.

use std::collections::BTreeMap;

use ocisign::crypto::PublicKey;
use ocisign::envelope::{Candidate, cosign, dsse, layers_of_referrer, layers_of_tag, sigstore};
use ocisign::evidence::{Evidence, Reason, Rejection, Statement, Subject};
use ocisign::image::{Descriptor, Digest, Reference, media_type};
use ocisign::limits::Limits;
use ocisign::trust::Trust;
use ocisign::verify::verify;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

pub(crate) struct Key(EcdsaKeyPair, PublicKey);

impl Key {
    pub(crate) fn new() -> Self {
        let random = ring::rand::SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap();
        let point = pair.public_key().as_ref().to_vec();
        Self(pair, PublicKey::from_sec1(ocisign::crypto::Curve::P256, &point).unwrap())
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(&ring::rand::SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// A bundle around `payload`, whatever it is.
    pub(crate) fn bundle(&self, payload: &[u8]) -> Candidate {
        self.bundle_with_hint(payload, &self.1.hint())
    }

    pub(crate) fn bundle_with_hint(&self, payload: &[u8], hint: &str) -> Candidate {
        let signature = self.sign(&dsse::pae(dsse::IN_TOTO, payload));
        Candidate::bundle("x", sigstore::bundle(payload, &signature, hint))
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.1
    }

    /// The same in the older format.
    pub(crate) fn older(&self, payload: &[u8]) -> Candidate {
        let layer = cosign::layer(payload, &self.sign(payload));
        Candidate::cosign("x", payload.to_vec(), layer.annotations)
    }

    pub(crate) fn check(
        &self,
        candidate: &Candidate,
        digest: &Digest,
    ) -> Result<Evidence, Rejection> {
        let subject = Subject { digest: digest.clone(), size: None, media_type: None };
        verify(candidate, &Trust::new([self.1.clone()]), &subject, &Limits::default())
    }
}

fn image() -> Descriptor {
    Descriptor::of(media_type::OCI_MANIFEST, b"the image")
}

fn name() -> Reference {
    format!("GHCR.io/team/app:V1@{}", image().digest).parse().unwrap()
}

fn annotations() -> BTreeMap<String, String> {
    BTreeMap::from([("team".into(), "blue".into()), ("env".into(), "\"prod\"\n".into())])
}

#[test]
fn a_bundle_goes_round() {
    let key = Key::new();
    let payload = sigstore::statement(&image().digest, Some(&name()), &annotations());
    let signature = key.sign(&dsse::pae(dsse::IN_TOTO, &payload));
    let bundle = sigstore::bundle(&payload, &signature, &key.1.hint());
    let created = "2026-11-23T06:47:26.9Z".parse().unwrap();
    let listed = Descriptor::of(media_type::SIGSTORE_BUNDLE, &bundle);
    let manifest = sigstore::manifest(&listed, &image(), sigstore::SIGN_PREDICATE, created);

    let limits = Limits::default();
    let layers = layers_of_referrer(&manifest, &image().digest, &limits).unwrap();
    let candidate = Candidate::listed("x", &layers[0], bundle).unwrap();
    let claims = key.check(&candidate, &image().digest).unwrap().facts().claims.clone();
    assert_eq!(claims.name.as_deref(), Some("ghcr.io/team/app:V1"));
    assert_eq!(claims.annotations, annotations());
    assert_eq!(claims.statement, Statement::Signature);

    let rejection = key.check(&candidate, &Digest::sha256(b"another")).unwrap_err();
    assert_eq!(rejection.reason, Reason::WrongSubject(image().digest.to_string()));
    let rejection = Key::new().check(&candidate, &image().digest).unwrap_err();
    assert_eq!(rejection.reason, Reason::UnknownKey(Some(key.1.hint())));
}

#[test]
fn an_older_signature_goes_round() {
    let key = Key::new();
    let payload = cosign::payload(&image().digest, Some(&name()), &annotations());
    let layer = cosign::layer(&payload, &key.sign(&payload));
    let older = Descriptor::of(media_type::COSIGN_SIMPLE, b"another signature");
    let written = cosign::manifest(&[older.clone(), layer.clone()]);

    let layers = layers_of_tag(&written.manifest, &Limits::default()).unwrap();
    assert_eq!(layers, [older.clone(), layer.clone()], "what stood there stays");
    let candidate = Candidate::listed("x", &layers[1], payload).unwrap();
    let claims = key.check(&candidate, &image().digest).unwrap().facts().claims.clone();
    assert_eq!(claims.name.as_deref(), Some("ghcr.io/team/app:V1"));
    assert_eq!(claims.annotations, annotations());

    let manifest: Value = serde_json::from_slice(&written.manifest).unwrap();
    let config: Value = serde_json::from_slice(&written.config).unwrap();
    assert_eq!(manifest["config"]["digest"], Digest::sha256(&written.config).to_string());
    let diff_ids = json!([older.digest, layer.digest]);
    assert_eq!(config["rootfs"], json!({"type": "layers", "diff_ids": diff_ids}));
    let tag = format!("sha256-{}.sig", image().digest.hex());
    assert_eq!(cosign::tag(&image().digest), tag);
}

/// Same arguments, same bytes: signing twice can be noticed.
#[test]
fn what_is_signed_is_deterministic() {
    let text =
        String::from_utf8(sigstore::statement(&image().digest, Some(&name()), &annotations()));
    let hex = Digest::sha256(b"the image").hex().to_owned();
    assert_eq!(
        text.unwrap(),
        format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"ghcr.io/team/app:V1","digest":{{"sha256":"{hex}"}},"annotations":{{"env":"\"prod\"\n","team":"blue"}}}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{{}}}}"#
        )
    );
    let nameless = cosign::payload(&image().digest, None, &BTreeMap::new());
    assert_eq!(
        String::from_utf8(nameless).unwrap(),
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":""}},"image":{{"docker-manifest-digest":"sha256:{hex}"}},"type":"cosign container image signature"}},"optional":null}}"#
        )
    );
}

/// Field by field, order of keys aside, the documents of a real cosign.
#[test]
fn the_documents_are_those_of_cosign() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let read = |file: &str| std::fs::read(data.join(file)).unwrap();
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();

    let theirs = read("sigstore/by-cosign-ecdsa-p256/bundle.json");
    let bundle = json(&theirs);
    let text = |pointer: &str| bundle.pointer(pointer).unwrap().as_str().unwrap();
    let payload = crate::flips::decoded(text("/dsseEnvelope/payload"));
    let signature = crate::flips::decoded(text("/dsseEnvelope/signatures/0/sig"));
    let hint = text("/verificationMaterial/publicKey/hint");
    assert_eq!(json(&sigstore::bundle(&payload, &signature, hint)), bundle);

    let statement = json(&payload);
    let hex = statement["subject"][0]["digest"]["sha256"].as_str().unwrap();
    let digest: Digest = format!("sha256:{hex}").parse().unwrap();
    let prod = BTreeMap::from([("env".into(), "prod".into()), ("team".into(), "blue".into())]);
    assert_eq!(json(&sigstore::statement(&digest, None, &prod)), statement);

    let manifest = json(&read("sigstore/by-cosign-ecdsa-p256/manifest.json"));
    let subject: Descriptor = serde_json::from_value(manifest["subject"].clone()).unwrap();
    let created = &manifest["annotations"]["org.opencontainers.image.created"];
    let listed = Descriptor::of(media_type::SIGSTORE_BUNDLE, &theirs);
    let created = created.as_str().unwrap().parse().unwrap();
    let ours = sigstore::manifest(&listed, &subject, sigstore::SIGN_PREDICATE, created);
    assert_eq!(json(&ours), manifest);

    let payload = read("cosign/by-cosign-ecdsa-p256/payload.json");
    let named = json(&payload)["critical"]["identity"]["docker-reference"].clone();
    let digest = json(&payload)["critical"]["image"]["docker-manifest-digest"].clone();
    let digest: Digest = digest.as_str().unwrap().parse().unwrap();
    // By digest, so that there is no tag: cosign signs none.
    let name: Reference = format!("{}@{digest}", named.as_str().unwrap()).parse().unwrap();
    assert_eq!(cosign::payload(&digest, Some(&name), &prod), payload, "byte by byte");

    let manifest = json(&read("cosign/by-cosign-ecdsa-p256/manifest.json"));
    let layer: Descriptor = serde_json::from_value(manifest["layers"][0].clone()).unwrap();
    assert_eq!(
        json(&cosign::manifest(std::slice::from_ref(&layer)).manifest),
        manifest,
        "config digest included"
    );
}
