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
    /// Signatures inside one manifest of Docker's schema 1. Tools wrote one;
    /// each costs a hash over the manifest and a verification.
    pub manifest_signatures: usize,
    /// What a signature of schema 1 says to stand at the end of the signed
    /// manifest (`formatTail`); tools write two bytes.
    pub manifest_tail_bytes: u64,
    /// One layer of Docker's schema 1, or an appc image that is found by its
    /// name: nobody states its size, so that nothing else ends it. The largest layers in use have some 20 GiB.
    pub unsized_layer_bytes: u64,
    /// Addresses of one external layer (`urls`) that are asked for it.
    pub external_urls: usize,
    /// One image configuration: containers/image reads 4 MiB at most.
    pub config_bytes: u64,
    /// One signature payload, bundle or envelope. A large SBOM attestation
    /// is a few MiB; 16 MiB leaves room without giving a registry much.
    pub envelope_bytes: u64,
    /// One GPG simple signature, and one list of them: containers/image stops
    /// there too. Real ones have under 2 KiB.
    pub simple_bytes: u64,
    /// GPG simple signatures of one image: containers/image stops there too.
    pub lookaside_signatures: usize,
    /// One file of `registries.d`. A namespace takes some 100 bytes.
    pub registries_d_bytes: u64,
    /// Files of `registries.d`. Distributions ship one to five.
    pub registries_d_files: usize,
    /// A policy document (policy design, "Text format").
    pub policy_bytes: u64,
    /// A key file: an RSA-4096 private key in PEM is under 4 KiB.
    pub key_bytes: u64,
    /// An OpenPGP keyring. Debian's archive keyring, with its many signatures
    /// by others, has 60 KiB; distributions' developer keyrings reach 20 MiB
    /// and are no keyrings of a policy.
    pub keyring_bytes: u64,
    /// Keys in one folder of trusted keys, for one name and in all.
    pub trusted_keys: usize,
    /// One page of meta discovery. Those in use have under 100 KiB.
    pub discovery_bytes: u64,
    /// Addresses that one page of meta discovery gives for one image.
    pub discovery_endpoints: usize,
    /// One trusted root of Sigstore. The public one has 7 KiB.
    pub trusted_root_bytes: u64,
    /// Bytes of a file that are held in memory where a signature over it can
    /// only be made or verified so: by Ed25519.
    pub blob_bytes: u64,
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
    /// Largest dictionary of an xz stream, in bytes: what `xz -8` uses. It is
    /// memory that the stream asks for before it gives a byte.
    pub xz_dictionary_bytes: u64,
    /// Entries of an ACI's tar, the folders that they imply included: each
    /// takes about 40 bytes while the archive is read.
    pub aci_entries: usize,
    /// Images that an ACI depends on, directly or not.
    pub aci_dependencies: usize,
    /// How many images an ACI may lie on, one upon the other.
    pub aci_dependency_depth: usize,
    /// Files in the directories in which dependencies are looked for.
    pub aci_dependency_files: usize,
    /// Files of signatures of one kind beside an image.
    pub beside: usize,
    /// Detached signatures of one file: each hashes the file once more.
    pub detached_signatures: usize,
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
    /// Distinct images of one audit. Large clusters run a few thousand.
    pub audit_images: usize,
    /// Users of images that one audit keeps by name; the others are counted.
    /// A name takes some 100 bytes.
    pub audit_users: usize,
    /// One line of a list of images, or of an audit's own output. What an
    /// audit writes has 700 KiB at worst: 50 users with names of 253
    /// characters and 32 causes in sentences of 300, twelve bytes each.
    pub audit_line_bytes: u64,
    /// One page of a cluster's objects: 500 of them with some 10 KiB each,
    /// tenfold. etcd holds 1.5 MiB of one object at most.
    pub cluster_page_bytes: u64,
    /// Pages of one kind of a cluster's objects.
    pub cluster_pages: usize,
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
    /// Pull secrets of one pod, its service account's included. Real pods
    /// have one or two.
    pub pull_secrets: usize,
    /// One answer of the Kubernetes API: a secret holds 1 MiB at most, which
    /// base64 makes 1.4 MiB, and annotations 256 KiB.
    pub secret_bytes: u64,
    /// Bytes of pull secrets kept in memory, and as many of service accounts.
    pub secrets_bytes: u64,
    /// How long a pull secret is kept: a rotated one counts after this.
    pub secret_kept: Duration,
    /// Requests to the Kubernetes API at once.
    pub cluster_calls: usize,
    /// Longest wait for one answer of the Kubernetes API: half of what the API
    /// server waits for a webhook by default.
    pub cluster_timeout: Duration,
    /// One AdmissionReview. The API server takes objects of 3 MiB, and a
    /// review holds the object, the old one, and who asks.
    pub review_bytes: u64,
    /// JSON values in one AdmissionReview. The largest real ones have some
    /// ten thousand; a hostile one takes about 600 bytes of memory for each.
    /// ten thousand; a hostile one takes 600 bytes of memory for each while
    /// its images are looked for.
    pub review_values: usize,
    /// Images of one object. Each is a question within one deadline, and a
    /// pod of a hundred containers is unheard of.
    pub review_images: usize,
    /// Bodies of AdmissionReviews in memory at once, until they are read. A
    /// third is for those of up to 64 KiB, as nearly all are; further ones
    /// wait.
    pub reviews_bytes: u64,
    /// AdmissionReviews being answered at once; further ones wait.
    pub reviews: usize,
    /// Images of one AdmissionReview being judged at once.
    pub review_parallel: usize,
    /// Connections to the webhook at once. An API server keeps one for each
    /// request under way; the one longest unused makes room for a new one.
    pub connections: usize,
    /// Requests at once on one HTTP/2 connection.
    pub connection_streams: u32,
    /// Longest time for a client to finish the TLS handshake, and again to
    /// send its first request's head. A client in the cluster takes
    /// milliseconds.
    pub handshake_timeout: Duration,
    /// Longest time for a client to send a body.
    pub body_timeout: Duration,
    /// How long an unused connection is kept. Longer than the 90 s of Go's
    /// clients, so that it is they who close it and never while they send.
    pub connection_idle: Duration,
    /// Longest time for an answer, whatever the API server says it waits:
    /// 30 s is the most that a webhook's configuration may ask for.
    pub review_timeout: Duration,
    /// Lines of the decision log that wait to be written; further ones are
    /// counted and not kept.
    pub log_lines: usize,
    /// Time that the containerd plugin takes at most. containerd kills it
    /// after 10 s and shows no reason then.
    pub verifier_deadline: Duration,
    /// Sum of the files that the containerd plugin keeps on disk.
    pub shelf_bytes: u64,
    /// Number of these files. An image with its signatures has about ten.
    pub shelf_entries: usize,
    /// Largest of these files; what is larger is fetched anew.
    pub shelf_item_bytes: u64,
    /// Time for which the plugin may allow by a list of signatures that it
    /// fetched before.
    pub kept_listing: Duration,
    /// Requirements of one scope in an exported policy.json: podman and
    /// CRI-O verify all signatures anew for each.
    pub export_requirements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            manifest_bytes: 4 * MIB,
            manifest_signatures: 32,
            manifest_tail_bytes: 1 << 10,
            unsized_layer_bytes: 32 << 30,
            external_urls: 4,
            config_bytes: 4 * MIB,
            envelope_bytes: 16 * MIB,
            simple_bytes: 4 * MIB,
            lookaside_signatures: 128,
            registries_d_bytes: MIB,
            registries_d_files: 1_000,
            policy_bytes: MIB,
            key_bytes: 64 << 10,
            keyring_bytes: 4 * MIB,
            trusted_keys: 256,
            discovery_bytes: MIB,
            discovery_endpoints: 8,
            trusted_root_bytes: MIB,
            blob_bytes: 64 * MIB,
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
            xz_dictionary_bytes: 32 * MIB,
            aci_entries: 500_000,
            aci_dependencies: 256,
            aci_dependency_depth: 32,
            aci_dependency_files: 4_096,
            beside: 32,
            detached_signatures: 16,
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
            audit_images: 100_000,
            audit_users: 500_000,
            audit_line_bytes: MIB,
            cluster_page_bytes: 64 * MIB,
            cluster_pages: 10_000,
            remembered_blob_bytes: 256 << 10,
            remembered_bytes: 16 * MIB,
            remembered_verdict_bytes: 8 * MIB,
            remembered_layers: 20_000,
            verifications: 32,
            waiting: 2_000,
            keyrings: 500,
            pull_secrets: 32,
            secret_bytes: 2 * MIB,
            secrets_bytes: 8 * MIB,
            secret_kept: Duration::from_secs(5),
            cluster_calls: 8,
            cluster_timeout: Duration::from_secs(5),
            review_bytes: 8 * MIB,
            review_values: 100_000,
            review_images: 256,
            reviews_bytes: 24 * MIB,
            reviews: 256,
            review_parallel: 8,
            connections: 512,
            connection_streams: 128,
            handshake_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(5),
            connection_idle: Duration::from_secs(120),
            review_timeout: Duration::from_secs(30),
            log_lines: 10_000,
            verifier_deadline: Duration::from_secs(8),
            shelf_bytes: 256 * MIB,
            shelf_entries: 20_000,
            shelf_item_bytes: 4 * MIB,
            kept_listing: Duration::from_secs(600),
            export_requirements: 128,
        }
    }
}

impl Limits {
    /// For a webhook: somebody waits for the answer and asks again, so a
    /// registry that stalls is given up sooner.
    pub fn admission() -> Self {
        Self {
            attempts: 3,
            idle_timeout: Duration::from_secs(10),
            retry_after: Duration::from_secs(5),
            deadline: Duration::from_secs(600),
            ..Self::default()
        }
    }
}
