//! Schema 1 from a registry: what is asked for, and what is not believed.

use ocisign::Limits;
use ocisign::engine::{self, Image, Soundness};
use ocisign::image::{Depth, Digest, NodeState, media_type as mt};
use ocisign::store::RegistryOptions;
use ocisign::store::auth::Anonymous;

use super::common::registry::{Lie, Options, Registry};
use super::{image, key, layer, sign, tree, unsigned};

fn open(registry: &Registry, target: &str) -> Image {
    let options =
        RegistryOptions { credentials: std::sync::Arc::new(Anonymous), ..Default::default() };
    let store = ocisign::store::Registry::open(&registry.repository("app"), options).unwrap();
    image(store, &format!("{}/app{target}", registry.host()))
}

#[test]
fn a_signed_manifest_is_pulled_by_tag_and_by_digest() {
    let registry = Registry::start(Options::default());
    let blob = layer("a");
    registry.put_blob("app", &blob);
    let payload = unsigned(&[&blob]);
    let digest = Digest::sha256(&payload).to_string();
    let (bytes, kind) = (sign(&payload, &key(1)), mt::DOCKER_SCHEMA_1_SIGNED);
    for reference in ["v1", &digest] {
        registry.put_manifest("app", Some(reference), kind, &bytes);
    }
    for target in [":v1".to_owned(), format!("@{digest}")] {
        // of the registry's word nothing is taken
        registry.lie(
            "GET /v2/app/manifests/*",
            Lie::Header("Docker-Content-Digest", format!("sha256:{}", "0".repeat(64))),
        );
        let tree = tree(&open(&registry, &target), Depth::Contents);
        assert!(tree.is_verified(), "{:?}", tree.shape().nodes);
        assert_eq!(tree.root().digest.to_string(), digest);
    }
    let asked = registry.requests().into_iter().find(|r| r.path().contains("/manifests/")).unwrap();
    let accept = asked.header("accept").unwrap_or_default().to_owned();
    let place = |kind: &str| accept.find(kind);
    // the reader of headers keeps the last or the first of several; both say enough
    assert!(place("*/*").is_some() || place(mt::OCI_INDEX).is_some(), "{accept}");
}

/// What an old registry does where Accept lacks schema 2: it answers with a
/// schema 1 that it made on the fly. By digest that is another manifest,
/// whatever the registry says of it.
#[test]
fn a_manifest_rewritten_to_schema_1_is_another_one() {
    let registry = Registry::start(Options::default());
    let blob = layer("a");
    registry.put_blob("app", &blob);
    let real = serde_json::json!({
        "schemaVersion": 2, "mediaType": mt::DOCKER_MANIFEST, "layers": [],
        "config": {"mediaType": mt::DOCKER_CONFIG, "size": 2, "digest": Digest::sha256(b"{}")},
    });
    let asked = Digest::sha256(real.to_string().as_bytes()).to_string();
    let rewritten = sign(&unsigned(&[&blob]), &key(1));
    for kind in
        [mt::DOCKER_SCHEMA_1_SIGNED, mt::DOCKER_SCHEMA_1, mt::DOCKER_MANIFEST, "application/json"]
    {
        registry.put_manifest("app", Some(&asked), kind, &rewritten);
        registry
            .lie("GET /v2/app/manifests/*", Lie::Header("Docker-Content-Digest", asked.clone()));
        let image = open(&registry, &format!("@{asked}"));
        let tree = tree(&image, Depth::Layers);
        assert!(matches!(tree.shape().nodes[0].state, NodeState::Mismatch(_)), "{kind}");
        assert!(matches!(engine::soundness(tree.shape()), Soundness::Broken(_)));
        let limits = Limits::default();
        assert!(engine::block_on(image.resolve(&limits)).is_err(), "{kind}");
    }
}
