//! The bundle verification of sigstore-conformance, through `ocisign blob
//! verify`: each folder is a case, by the path of its artifact and by its
//! digest. A name that ends in `_fail` must be refused.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use ocisign::image::Digest;

pub(crate) const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
pub(crate) const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// What the refusal of each bad case says: any error would pass otherwise.
const REASONS: &[(&str, &str)] = &[
    ("bundle-empty-certificate-chain_fail", "an empty chain of certificates"),
    ("bundle-from-wrong-instance_fail", "not proven: invalid inclusion promise: No log key"),
    ("bundle-invalid-base64-signature_fail", "malformed: JSON error: Invalid encoding"),
    ("bundle-malformed-json_fail", "malformed: bundle: malformed JSON"),
    ("bundle-negative-log-index_fail", "negative log index"),
    ("bundle-unknown-version_fail", "a bundle of media type"),
    ("bundle-with-root-cert_fail", "has no checkpoint"),
    ("checkpoint-bad-keyhint_fail", "not proven: invalid checkpoint: No matching Rekor key"),
    ("checkpoint-wrong-roothash_fail", "root hash does not match checkpoint"),
    ("dsse-invalid-sig_fail", "the signature does not verify"),
    (
        "dsse-mismatch-envelope_fail",
        "not proven: log entry does not match the bundle: DSSE payload",
    ),
    ("dsse-mismatch-sig_fail", "not proven: log entry does not match the bundle: DSSE signature"),
    ("inclusion-proof-corrupted-hash_fail", "not proven: invalid inclusion proof"),
    ("incorrect-public-key_fail", "not proven: invalid inclusion promise: SET"),
    ("integrated-time-in-future_fail", "CertExpired"),
    ("intoto-expired-certificate_fail", "CertNotValidYet"),
    ("intoto-log-entry-mismatch_fail", "malformed log entry"),
    ("intoto-missing-inclusion-proof_fail", "must have an inclusion proof"),
    ("intoto-set-outside-signing-cert-validity_fail", "CertExpired"),
    ("intoto-tsa-timestamp-outside-cert-validity_fail", "CertExpired"),
    ("invalid-checkpoint-signature_fail", "not proven: invalid checkpoint: No valid"),
    ("invalid-ct-key_fail", "not proven: invalid signed certificate timestamp"),
    ("invalid-inclusion-proof_fail", "has no checkpoint"),
    ("managed-key-no-key_fail", "no signing certificate"),
    ("managed-key-wrong-key_fail", "file: is no base64"),
    ("message-digest-mismatch_fail", "about something else: artifact mismatch: message digest"),
    ("rekor2-checkpoint-missing-log-signature_fail", "no signatures found"),
    ("rekor2-checkpoint-missing-origin_fail", "Invalid checkpoint format"),
    ("rekor2-checkpoint-missing-root-hash_fail", "missing root hash"),
    ("rekor2-checkpoint-missing-size_fail", "invalid tree size"),
    ("rekor2-checkpoint-no-matching-signature_fail", "not proven: invalid checkpoint: No valid"),
    ("rekor2-dsse-invalid-sig_fail", "the signature does not verify"),
    ("rekor2-dsse-mismatch-envelope_fail", "artifact hash mismatch for hashedrekord"),
    (
        "rekor2-dsse-mismatch-sig_fail",
        "not proven: log entry does not match the bundle: DSSE signature",
    ),
    ("rekor2-no-inclusion-proof_fail", "must have an inclusion proof"),
    ("rekor2-no-timestamp_fail", "not proven: no verified timestamp"),
    (
        "rekor2-timestamp-outside-trust-root-tsa-validity_fail",
        "outside the validity period of the authority",
    ),
    ("rekor2-timestamp-outside-tsa-cert-validity_fail", "TSA certificate validation failed"),
    ("rekor2-timestamp-payload-mismatch_fail", "Timestamp message hash mismatch"),
    ("rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail", "does not match any trusted TSA"),
    ("rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail", "does not match any trusted TSA"),
    ("rekor2-timestamp-with-incorrect-time_fail", "malformed: JSON error: Invalid encoding"),
    ("set-invalid-signature_fail", "not proven: invalid inclusion promise: SET"),
    ("signature-mismatch_fail", "the signature does not verify"),
    ("trust-root-tlog-missing-validity-start_fail", "file: missing field `start`"),
    ("wrong-hashedrekord-artifact_fail", "artifact hash mismatch for hashedrekord"),
    (
        "wrong-hashedrekord-cert-and-sig_fail",
        "not proven: log entry does not match the bundle: certificate",
    ),
    ("wrong-hashedrekord-entry_fail", "artifact hash mismatch for hashedrekord"),
    ("wrong-material_fail", "about something else: artifact mismatch: message digest"),
];

/// Exit code and what was printed.
fn verify(case: &Path, suite: &Path, artifact: &str) -> (Option<i32>, String) {
    let text = |name: &str, usual: &str| {
        std::fs::read_to_string(case.join(name)).map_or(usual.to_owned(), |t| t.trim().to_owned())
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocisign"));
    command.args(["blob", "verify", "--bundle"]).arg(case.join("bundle.sigstore.json"));
    let own_root = case.join("trusted_root.json");
    let root = if own_root.exists() { own_root } else { suite.join("trusted_root.public.json") };
    command.arg("--trusted-root").arg(root);
    match case.join("key.pub") {
        key if key.exists() => command.arg("--key").arg(key),
        _ => command
            .args(["--certificate-identity", &text("identity", IDENTITY)])
            .args(["--certificate-oidc-issuer", &text("issuer", ISSUER)]),
    };
    let output = command.arg(artifact).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_certificate_says_for_whom_it_was_made_and_from_what() {
    let Some(suite) = super::vectors("sigstore-conformance") else { return };
    let case = suite.join("bundle-verify/happy-path-v0.3");
    let artifact = suite.join("bundle-verify/a.txt");
    let line = ["blob", "verify", "--output", "json", "--certificate-identity", IDENTITY];
    let output = Command::new(env!("CARGO_BIN_EXE_ocisign"))
        .args(line)
        .args(["--certificate-oidc-issuer", ISSUER, "--bundle"])
        .arg(case.join("bundle.sigstore.json"))
        .arg(&artifact)
        .output()
        .unwrap();
    // without a root it is the public one, which ships with the tool
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["signer"]["names"], serde_json::json!([IDENTITY]));
    assert_eq!(json["signer"]["issuer"], ISSUER);
    let claims = &json["signer"]["claims"];
    let repository =
        "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon";
    assert_eq!(claims["sourceRepositoryURI"], repository);
    assert_eq!(claims["githubWorkflowRepository"], &repository["https://github.com/".len()..]);
    assert_eq!(claims["runnerEnvironment"], "github-hosted");
    assert_eq!((&json["logged"], json["times"].as_array().unwrap().len()), (&true.into(), 1));
}

#[test]
fn another_name_or_issuer_is_told_who_signed() {
    let Some(suite) = super::vectors("sigstore-conformance") else { return };
    let bundle = suite.join("bundle-verify/happy-path-v0.3/bundle.sigstore.json");
    let artifact = suite.join("bundle-verify/a.txt");
    let part = &IDENTITY[..IDENTITY.len() - 1];
    for (identity, issuer) in [
        (part, ISSUER),
        (".*", ISSUER),
        ("", ISSUER),
        (IDENTITY, "https://token.actions.githubusercontent.com/"),
        (IDENTITY, "https://accounts.example.com"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ocisign"))
            .args(["blob", "verify", "--certificate-identity", identity])
            .args(["--certificate-oidc-issuer", issuer, "--bundle"])
            .arg(&bundle)
            .arg(&artifact)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{identity} {issuer}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(IDENTITY));
    }
}

#[test]
fn every_case_of_the_suite_has_the_outcome_of_its_name() {
    let Some(suite) = super::vectors("sigstore-conformance") else { return };
    let (mut cases, mut wrong) = (0, Vec::new());
    let reasons: BTreeMap<_, _> = REASONS.iter().copied().collect();
    for entry in std::fs::read_dir(suite.join("bundle-verify")).unwrap() {
        let case = entry.unwrap().path();
        if !case.is_dir() {
            continue;
        }
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let own = case.join("artifact");
        let artifact = if own.exists() { own } else { suite.join("bundle-verify/a.txt") };
        let digest = Digest::sha256(&std::fs::read(&artifact).unwrap()).to_string();
        for artifact in [artifact.to_str().unwrap(), &digest] {
            cases += 1;
            let (code, said) = verify(&case, &suite, artifact);
            let (wanted, says) = match reasons.get(name.as_str()) {
                // a key or a root that cannot be read is no answer
                Some(says) if says.starts_with("file: ") => (2, &says[6..]),
                Some(says) => (1, *says),
                None => (0, "verified"),
            };
            assert_eq!(wanted != 0, name.ends_with("_fail"), "{name} has no stated reason");
            if code != Some(wanted) || !said.contains(says) {
                wrong.push(format!("{name} {artifact}: exit {code:?}\n{said}"));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert_eq!(cases, 140);
}
