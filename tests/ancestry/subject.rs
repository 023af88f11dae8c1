//! One image to try things on, wherever it lies.

use ocisign::evidence::Format;
use ocisign::image::Digest;

use super::common::registry::Registry;
use super::common::run::{Ran, Sandbox, source};

/// A way to sign.
pub(crate) struct Signer {
    pub(crate) format: Format,
    pub(crate) key: Key,
}

impl Signer {
    pub(crate) const ALL: [Self; 4] = [
        Self { format: Format::Sigstore, key: Key::Plain },
        Self { format: Format::Cosign, key: Key::Plain },
        Self { format: Format::Simple, key: Key::OpenPgp },
        Self { format: Format::Appc, key: Key::OpenPgp },
    ];
}

/// A kind of key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Plain,
    OpenPgp,
}

impl Key {
    /// Private, public, and another's public key, with their names here.
    fn files(self) -> [(&'static str, &'static str); 3] {
        match self {
            Self::Plain => [
                ("keys-test/ecdsa-p256/key.pem", "me.key"),
                ("keys-test/ecdsa-p256/key.pub", "me.pub"),
                ("keys-test/ed25519/key.pub", "other.pub"),
            ],
            Self::OpenPgp => [
                ("tests/data/openpgp/nist.sec.asc", "me.sec.asc"),
                ("tests/data/openpgp/nist.pub.asc", "me.pub.asc"),
                ("tests/data/openpgp/other.pub.asc", "other.pub.asc"),
            ],
        }
    }

    /// The option of `verify` that takes the public key.
    fn option(self) -> &'static str {
        match self {
            Self::Plain => "--key",
            Self::OpenPgp => "--keyring",
        }
    }
}

/// A part of an image, of which one byte can be changed.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    place: Place,
}

enum Place {
    /// These bytes in a file of the sandbox.
    File { path: String, text: Vec<u8> },
    /// What a registry has under a digest.
    Stored { digest: Digest, blob: bool },
}

/// An image, where it lies and how it is named.
pub(crate) struct Subject {
    pub(crate) parts: Vec<Part>,
    sandbox: Sandbox,
    registry: Option<Registry>,
    image: String,
    /// The layout that is signed and then packed, where an archive is not
    /// signed itself.
    layout: Option<&'static str>,
    /// `--as NAME`, for what has no name of its own.
    named: &'static str,
}

/// The repository of subjects in registries.
pub(crate) const REPOSITORY: &str = "app";

impl Subject {
    /// One that lies in files of a sandbox.
    pub(crate) fn in_files(sandbox: Sandbox, image: &str) -> Self {
        Self {
            parts: Vec::new(),
            sandbox: with_keys(sandbox),
            registry: None,
            image: image.to_owned(),
            layout: None,
            named: " --as registry.example/app:v1",
        }
    }

    /// The same under the name that it gives itself, as an ACI must.
    pub(crate) fn named(self, named: &'static str) -> Self {
        Self { named, ..self }
    }

    /// The archive `image.tar` of a layout.
    pub(crate) fn packed(sandbox: Sandbox, layout: &'static str) -> Self {
        let image = "oci-archive:image.tar:v1";
        let subject = Self { layout: Some(layout), ..Self::in_files(sandbox, image) };
        subject.pack();
        subject
    }

    fn pack(&self) {
        let Some(layout) = self.layout else { return };
        let _ = std::fs::remove_file(self.sandbox.path("image.tar"));
        self.sandbox.ocisign(&format!("copy {layout} oci-archive:image.tar:v1")).exits(0);
    }

    /// One that lies in a registry, under `app:v1`.
    pub(crate) fn in_registry(registry: Registry) -> Self {
        Self {
            parts: Vec::new(),
            sandbox: with_keys(Sandbox::new()),
            image: format!("{}/{REPOSITORY}:v1", registry.host()),
            registry: Some(registry),
            layout: None,
            named: "",
        }
    }

    /// Adds a part: these bytes in a file.
    pub(crate) fn part_in_file(mut self, name: &'static str, path: &str, text: &[u8]) -> Self {
        let (path, text) = (path.to_owned(), text.to_vec());
        self.parts.push(Part { name, place: Place::File { path, text } });
        self
    }

    /// Adds a part: the blob of a layout, by its digest.
    pub(crate) fn part_in_layout(mut self, name: &'static str, dir: &str, digest: &str) -> Self {
        let path = format!("{dir}/blobs/{}", digest.replace(':', "/"));
        let text = self.sandbox.read(&path);
        self.parts.push(Part { name, place: Place::File { path, text } });
        self
    }

    /// Adds a part: a manifest or blob of the registry.
    pub(crate) fn part_in_registry(
        mut self,
        name: &'static str,
        digest: Digest,
        blob: bool,
    ) -> Self {
        self.parts.push(Part { name, place: Place::Stored { digest, blob } });
        self
    }

    /// The help of `sign`, which lists the formats.
    pub(crate) fn help() -> String {
        Sandbox::new().ocisign("sign --help").exits(0).stdout
    }

    /// `ocisign VERB IMAGE`.
    pub(crate) fn ocisign(&self, verb: &str) -> Ran {
        self.run(verb, &self.image)
    }

    fn run(&self, verb: &str, image: &str) -> Ran {
        self.sandbox.ocisign(&format!("{verb}{} {image}", self.named))
    }

    pub(crate) fn sign(&self, signer: &Signer) -> Ran {
        let [(_, key), _, _] = signer.key.files();
        let (format, more) = (signer.format.as_str(), lookaside(signer));
        let image = self.layout.unwrap_or(&self.image);
        let ran = self.run(&format!("sign --format {format} --key {key}{more}"), image);
        self.pack();
        ran
    }

    pub(crate) fn verify(&self, signer: &Signer) -> Ran {
        let [_, (_, key), _] = signer.key.files();
        self.verify_by(signer, key)
    }

    /// With a key that signed nothing.
    pub(crate) fn verify_by_another(&self, signer: &Signer) -> Ran {
        let [_, _, (_, key)] = signer.key.files();
        self.verify_by(signer, key)
    }

    fn verify_by(&self, signer: &Signer, key: &str) -> Ran {
        let (option, more) = (signer.key.option(), lookaside(signer));
        self.ocisign(&format!("verify {option} {key}{more}"))
    }

    /// Changes one byte of a part; what comes back changes it back.
    pub(crate) fn tamper<'a>(&'a self, part: &'a Part) -> Box<dyn Fn() + 'a> {
        match &part.place {
            Place::File { path, text } => {
                let good = self.sandbox.read(path);
                let begin = good.windows(text.len()).position(|window| window == text).unwrap();
                self.sandbox.write(path, changed(&good, begin + text.len() / 2));
                Box::new(move || self.sandbox.write(path, &good))
            }
            Place::Stored { digest, blob: true } => {
                let registry = self.registry.as_ref().unwrap();
                let good = registry.blob(REPOSITORY, digest).unwrap();
                registry.replace_blob(REPOSITORY, digest, changed(&good, good.len() / 2));
                Box::new(move || registry.replace_blob(REPOSITORY, digest, good.clone()))
            }
            Place::Stored { digest, blob: false } => {
                let registry = self.registry.as_ref().unwrap();
                let good = registry.manifest(REPOSITORY, &digest.to_string()).unwrap();
                registry.replace_manifest(REPOSITORY, digest, changed(&good, good.len() / 2));
                Box::new(move || registry.replace_manifest(REPOSITORY, digest, good.clone()))
            }
        }
    }
}

fn changed(good: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[at] ^= 1;
    bytes
}

/// A store for signatures that lie in none beside the image.
fn lookaside(signer: &Signer) -> &'static str {
    match signer.format {
        Format::Simple => " --lookaside sigs",
        _ => "",
    }
}

fn with_keys(sandbox: Sandbox) -> Sandbox {
    for (from, to) in [Key::Plain, Key::OpenPgp].into_iter().flat_map(Key::files) {
        sandbox.write(to, std::fs::read(source(from)).unwrap());
        sandbox.chmod(to, 0o600);
    }
    sandbox
}
