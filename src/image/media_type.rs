//! Media types that ocisign knows, each with where it is defined.

/// OCI image manifest (image-spec, manifest.md).
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index (image-spec, image-index.md).
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image configuration (image-spec, config.md).
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The empty JSON object (image-spec, manifest.md, "Guidance for an Empty Descriptor").
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Uncompressed layer (image-spec, layer.md).
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Layer compressed with gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Layer compressed with zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Docker schema 2 manifest (distribution, manifest-v2-2.md).
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker schema 2 manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker layer compressed with gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker layer, uncompressed; in use though no page defines it.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker foreign layer: its bytes may live elsewhere (`urls`).
pub const DOCKER_FOREIGN_GZIP: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
/// Docker schema 1, unsigned (distribution, manifest-v2-1.md).
pub const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// Docker schema 1, signed.
pub const DOCKER_SCHEMA_1_SIGNED: &str =
    "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// Layer of an image of Docker schema 1: a tar, compressed with gzip.
pub const DOCKER_SCHEMA_1_LAYER: &str = "application/vnd.docker.container.image.rootfs.diff+x-gtar";
/// An archive of Docker v1 as a whole; no page gives it a type, so this is
/// ours.
pub const DOCKER_V1_ARCHIVE: &str = "application/vnd.ocisign.docker.v1.tar";
/// The `json` of one image in an archive of Docker v1; ours too.
pub const DOCKER_V1_IMAGE: &str = "application/vnd.ocisign.docker.v1.image+json";
/// An ACI file as a whole (appc); no page gives it a type, so this is ours.
pub const ACI: &str = "application/vnd.ocisign.appc.aci";
/// The tar in an ACI, whose SHA-512 is the image ID; ours too.
pub const ACI_TAR: &str = "application/vnd.ocisign.appc.tar";
/// The manifest in an ACI; ours too.
pub const ACI_MANIFEST: &str = "application/vnd.ocisign.appc.manifest+json";
/// OpenPGP message of a GPG simple signature. Nothing lists one by a media
/// type, so this is ours.
pub const OPENPGP_SIMPLE: &str = "application/vnd.ocisign.simple-signing";
/// in-toto statement or envelope as a layer (BuildKit's attestation manifests).
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
/// Sigstore bundle v0.3 (protobuf-specs, sigstore_bundle.proto).
pub const SIGSTORE_BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// Payload of an older cosign signature (cosign, specs/SIGNATURE_SPEC.md).
pub const COSIGN_SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What media types of Sigstore bundles, old and new, begin with.
pub const SIGSTORE_BUNDLE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";
/// Artifact type of older cosign's signatures as referrers
/// (`--registry-referrers-mode=oci-1-1`).
pub const COSIGN_ARTIFACT: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";

/// Whether `text` is a media type of RFC 6838, section 4.2, without parameters.
pub fn is_valid(text: &str) -> bool {
    let name = |part: &str| {
        let mut bytes = part.bytes();
        part.len() <= 127
            && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
            && bytes.all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
    };
    text.split_once('/').is_some_and(|(kind, sub)| name(kind) && name(sub))
}

/// Whether the content is an index: OCI image index or Docker manifest list.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_LIST)
}

/// Whether the content is an image manifest, OCI or Docker schema 2.
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}

/// Whether the content is a manifest of Docker's schema 1, signed or not.
pub fn is_schema_1(media_type: &str) -> bool {
    matches!(media_type, DOCKER_SCHEMA_1 | DOCKER_SCHEMA_1_SIGNED)
}

/// Media types under which servers give documents whose type they do not
/// know; they say nothing.
pub fn says_nothing(media_type: &str) -> bool {
    matches!(media_type, "" | "application/json" | "application/octet-stream" | "text/plain")
}

/// Whether the content is an image configuration, OCI or Docker.
pub fn is_config(media_type: &str) -> bool {
    matches!(media_type, OCI_CONFIG | DOCKER_CONFIG)
}
