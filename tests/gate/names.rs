//! One image under several names, each judged by its own rule.

use ocisign::Decision;
use ocisign::gate::Origin;
use serde_json::json;

use crate::common::registry::{Options, Registry};
use crate::scene::*;

/// Trees and evidence are shared by repository and digest; verdicts are not.
#[tokio::test]
async fn two_names_with_one_digest_and_different_rules() {
    let registry = Registry::start(Options::default());
    let image = push(&registry, "team/app", "v1", "one");
    push(&registry, "team/app", "v2", "one");
    push(&registry, "other/app", "v1", "one");
    let signed = name(&registry, "team/app", ":v1");
    for repository in ["team/app", "other/app"] {
        sign(&registry, repository, &image, "ana", Some(&signed));
    }
    let host = registry.host();
    let rules = json!([
        rule("team", &format!("{host}/team/**"), "ana", "exactOrDigest"),
        rule("other", &format!("{host}/other/**"), "bo", "none"),
    ]);
    let gate = gate_with(engine(&rules), Hands::new().settings());
    let by = format!("@{}", image.digest);
    let cases = [
        ("team/app", ":v1".to_owned(), Decision::Allow),
        // the same repository and digest, by a tag that was not signed
        ("team/app", ":v2".to_owned(), Decision::Deny),
        // by digest alone the signed tag is not asked about
        ("team/app", by.clone(), Decision::Allow),
        ("team/app", format!(":v1{by}"), Decision::Allow),
        ("team/app", format!(":v2{by}"), Decision::Deny),
        // the same digest where another must sign
        ("other/app", ":v1".to_owned(), Decision::Deny),
        ("other/app", by.clone(), Decision::Deny),
        // and where no rule speaks of it
        ("nobody", by, Decision::Deny),
    ];
    push(&registry, "nobody", "v1", "one");
    for origin in [Origin::Verified, Origin::Remembered] {
        for (repository, rest, decision) in &cases {
            let asked = name(&registry, repository, rest);
            assert_eq!(ask(&gate, &asked).await, (*decision, origin), "{asked}");
        }
    }
    // bytes were fetched once for all of their names
    for repository in ["team", "other"] {
        let manifest = format!("GET /v2/{repository}/app/manifests/{}", image.digest);
        assert_eq!(registry.count(&manifest), 0, "it came with the tag");
    }
    assert_eq!(registry.count("GET /v2/team/app/blobs/*"), 2, "config and bundle");
    assert_eq!(registry.count("GET /v2/other/app/blobs/*"), 1, "its bundle; the config is one");
}

/// Spellings that are normalised are one name.
#[tokio::test]
async fn one_name_in_two_spellings_is_one_question() {
    let one: ocisign::Reference = "alpine".parse().unwrap();
    let two: ocisign::Reference = "docker.io/library/alpine:latest".parse().unwrap();
    assert_eq!(one, two);
}
