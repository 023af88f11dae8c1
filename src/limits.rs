//! Every bound in one place, each with its reason.

use std::time::Duration;

/// How much of an untrusted input is read, followed or kept.
///
/// Sizes are bytes. A bound that is reached is reported as
/// *limit exceeded*, never as "absent".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One manifest or index. Registries must take 4 MiB
    /// (distribution-spec, "Pushing Manifests"); distribution caps there too.
    pub manifest_bytes: u64,
    /// One image configuration: containers/image reads 4 MiB at most.
    pub config_bytes: u64,
    /// One signature payload, bundle or envelope. A large SBOM attestation
    /// is a few MiB; 16 MiB leaves room without giving a registry much.
    pub envelope_bytes: u64,
    /// A policy document (policy design, "Text format").
    pub policy_bytes: u64,
    /// A key file: an RSA-4096 private key in PEM is under 4 KiB.
    pub key_bytes: u64,
    /// Iterations of PBKDF2 that an encrypted key may ask for: RFC 8018,
    /// section 4.2, names this for especially critical keys. A few seconds.
    pub kdf_iterations: u32,
    /// Bytes that scrypt passes over for an encrypted key (128 * N * r * p).
    /// RFC 7914's interactive example takes 16 MiB, OWASP's strongest advice
    /// 128 MiB.
    pub kdf_bytes: u64,
    /// Indexes inside indexes, the root counting as one. Real images nest
    /// twice at most.
    pub index_depth: usize,
    /// Nodes of one tree: a 30-platform index of 40-layer images has 1300.
    pub tree_nodes: usize,
    /// JSON nesting; serde_json stops at 128 too.
    pub json_depth: usize,
    /// Sum of manifests and configs kept in memory for one tree.
    pub tree_json_bytes: u64,
    /// Decompressed bytes of one layer at depth `contents`.
    pub layer_contents_bytes: u64,
    /// Decompressed bytes per compressed byte, once past
    /// `expansion_floor_bytes`. Real layers stay under 100; a run of zeros
    /// reaches 1032 in deflate and far more in zstd.
    pub expansion_ratio: u64,
    /// Output below this is never held to the ratio: a short run of zeros is
    /// no bomb.
    pub expansion_floor_bytes: u64,
    /// Largest window of a zstd frame (2 to the power of it): 27 is what
    /// `zstd -d` accepts without `--long`.
    pub zstd_window_log: u32,
    /// Entries of one layer's tar.
    pub tar_entries: usize,
    /// Entries of an OCI archive's own tar: blobs of every image in it.
    pub archive_entries: usize,
    /// One extended header (pax, GNU long name) of an OCI archive's own tar:
    /// a blob's name takes 141 bytes at most.
    pub archive_header_bytes: u64,
    /// Descriptors taken from referrers lists of one subject.
    pub referrers: usize,
    /// Pages of one referrers listing.
    pub referrers_pages: usize,
    /// Bytes of manifests and envelopes fetched as signatures of one image.
    pub signature_bytes: u64,
    /// Signatures in one cosign `.sig` manifest (cosign's own cap).
    pub cosign_layers: usize,
    /// Log entries, and timestamps, in one Sigstore bundle (sigstore-go's
    /// caps, after GHSA-cq38-jh5f-37mq).
    pub bundle_entries: usize,
    /// Subjects of one in-toto statement (sigstore-go's cap).
    pub statement_subjects: usize,
    /// Digests of one subject of a statement (sigstore-go's cap).
    pub subject_digests: usize,
    /// Attempts per request, the first included.
    pub attempts: u32,
    /// Redirects followed for one request.
    pub redirects: usize,
    /// Longest wait for the server to say anything.
    pub idle_timeout: Duration,
    /// Longest pause between attempts, whatever Retry-After says.
    pub retry_after: Duration,
    /// Longest time for one whole verification.
    pub deadline: Duration,
    /// Concurrent transfers.
    pub parallel: usize,
    /// Largest blob or manifest that a gate remembers: configs have 2 to
    /// 20 KiB, bundles under 16 KiB, indexes of thirty platforms 20 KiB.
    pub remembered_blob_bytes: u64,
    /// Blobs and manifests that a gate remembers, in all: some thousand
    /// images.
    pub remembered_bytes: u64,
    /// Verdicts that a gate remembers, in all. One has 2 to 5 KiB.
    pub remembered_verdict_bytes: u64,
    /// Layers that a gate remembers to have hashed; about 200 bytes each.
    pub remembered_layers: u64,
    /// Verifications that a gate has under way at once. Each holds a tree
    /// and a few transfers.
    pub verifications: usize,
    /// Verifications that wait behind those. More are refused at once, which
    /// is a better answer than one that comes too late.
    pub waiting: usize,
    /// Keyrings whose tokens are kept at once.
    pub keyrings: u64,
    /// Requirements of one scope in an exported policy.json: podman and
    /// CRI-O verify all signatures anew for each.
    pub export_requirements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            manifest_bytes: 4 * MIB,
            config_bytes: 4 * MIB,
            envelope_bytes: 16 * MIB,
            policy_bytes: MIB,
            key_bytes: 64 << 10,
            kdf_iterations: 10_000_000,
            kdf_bytes: 256 * MIB,
            index_depth: 4,
            tree_nodes: 10_000,
            json_depth: 64,
            tree_json_bytes: 64 * MIB,
            layer_contents_bytes: 64 << 30,
            expansion_ratio: 200,
            expansion_floor_bytes: 128 * MIB,
            zstd_window_log: 27,
            tar_entries: 4_000_000,
            archive_entries: 100_000,
            archive_header_bytes: 64 << 10,
            referrers: 5_000,
            referrers_pages: 100,
            signature_bytes: 128 * MIB,
            cosign_layers: 1_000,
            bundle_entries: 32,
            statement_subjects: 1_024,
            subject_digests: 32,
            attempts: 5,
            redirects: 5,
            idle_timeout: Duration::from_secs(30),
            retry_after: Duration::from_secs(60),
            deadline: Duration::from_secs(3600),
            parallel: 4,
            remembered_blob_bytes: 256 << 10,
            remembered_bytes: 16 * MIB,
            remembered_verdict_bytes: 8 * MIB,
            remembered_layers: 20_000,
            verifications: 16,
            waiting: 2_000,
            keyrings: 500,
            export_requirements: 128,
        }
    }
}
