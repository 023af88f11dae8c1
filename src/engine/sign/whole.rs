//! Signing images that are one file: the signature lies beside it.

use std::io::{self, Read};

use super::{Job, Outcome};
use crate::crypto::openpgp::SecretKey;
use crate::engine::whole::Reader;
use crate::engine::{Ask, Error, discover, fetch, keys};
use crate::image::{Depth, Descriptor, FileHasher};
use crate::store::{Loose, LooseKind, WholeFormat};
use crate::trust::Trust;

impl Job<'_> {
    /// Puts a detached OpenPGP signature over an ACI beside it (aci.md,
    /// "Image Archives").
    pub(super) async fn appc(
        &self,
        key: &SecretKey,
        subject: &Descriptor,
    ) -> Result<Outcome, Error> {
        let whole = self.image.store().whole();
        let Some(whole) = whole.filter(|whole| whole.format == WholeFormat::Aci) else {
            return Err(Error::Usage(
                "format `appc` signs an ACI; name one as `aci:FILE`".to_owned(),
            ));
        };
        let digest = subject.digest.clone();
        if let Some(item) = self.signed_before(key, subject).await? {
            return Ok(Outcome::AlreadyThere { subject: digest, item });
        }
        let mut content =
            Hashing { reader: Reader::new(&whole.file), hasher: FileHasher::default() };
        let signed = key.sign_detached(&mut content, self.options.created);
        let bytes = signed.map_err(keys::Error::from)?;
        if *content.hasher.finish().digest() != digest {
            return Err(Error::Broken("the file changed meanwhile; nothing was signed".to_owned()));
        }
        let loose = Loose { item: String::new(), kind: LooseKind::Detached, bytes };
        let item = self.image.store().push_beside(&digest, &loose).await?;
        Ok(Outcome::Attached { subject: digest, item })
    }

    /// Where this key signed the file before.
    async fn signed_before(
        &self,
        key: &SecretKey,
        subject: &Descriptor,
    ) -> Result<Option<String>, Error> {
        let ask = Ask::default();
        let grown = fetch::grow(self.image, Depth::Manifests, true, self.limits, &ask).await?;
        let trust = Trust::default().with_keyring(key.keyring());
        let found = discover::detached(grown.signed, &trust, &subject.digest);
        Ok(found.evidence.first().map(|evidence| evidence.facts().item.clone()))
    }
}

/// Hashes what is read, so that what is signed is what was verified.
struct Hashing<'a> {
    reader: Reader<'a>,
    hasher: FileHasher,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.hasher.update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}
