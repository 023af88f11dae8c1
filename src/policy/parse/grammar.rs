//! The fields of the language, each kind of object with its keys in the
//! order in which they are written.
//!
//! `parse` refuses what is not here, `fmt` writes in this order, and a test
//! holds the published JSON Schema to it.

/// A kind of object.
#[derive(Debug)]
pub(in crate::policy) struct Kind {
    /// What it is, with its article.
    pub(in crate::policy) what: &'static str,
    /// Its fields in order.
    pub(in crate::policy) fields: &'static [Field],
}

/// A field of an object.
#[derive(Debug, Clone, Copy)]
pub(in crate::policy) struct Field {
    /// The key.
    pub(in crate::policy) name: &'static str,
    /// What stands below it.
    pub(in crate::policy) child: Child,
    /// For a field that cannot be honoured yet: what to do instead.
    pub(in crate::policy) later: Option<&'static str>,
}

/// What stands below a field.
#[derive(Debug, Clone, Copy)]
pub(in crate::policy) enum Child {
    /// Data: no keys of the language below.
    Plain,
    /// One object.
    One(&'static Kind),
    /// An array of objects.
    List(&'static Kind),
    /// An array of arrays of objects.
    Lists(&'static Kind),
    /// An object of objects by free names.
    Map(&'static Kind),
}

impl Kind {
    pub(in crate::policy) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

pub(in crate::policy) const fn plain(name: &'static str) -> Field {
    Field { name, child: Child::Plain, later: None }
}

const fn later(name: &'static str, instead: &'static str) -> Field {
    Field { name, child: Child::Plain, later: Some(instead) }
}

pub(in crate::policy) const fn one(name: &'static str, kind: &'static Kind) -> Field {
    Field { name, child: Child::One(kind), later: None }
}

pub(in crate::policy) const fn list(name: &'static str, kind: &'static Kind) -> Field {
    Field { name, child: Child::List(kind), later: None }
}

const fn map(name: &'static str, kind: &'static Kind) -> Field {
    Field { name, child: Child::Map(kind), later: None }
}

const TIMED: &str = "no trusted time is read yet; leave it out";

pub(in crate::policy) static POLICY: Kind = Kind {
    what: "a policy",
    fields: &[
        plain("$schema"),
        plain("ocisign"),
        plain("name"),
        plain("description"),
        plain("serial"),
        plain("issued"),
        plain("expires"),
        later("include", "other files are not read yet; write their signers and rules here"),
        later("roots", "certificates and logs are not read yet; name public keys in `keys`"),
        plain("mirrors"),
        map("signers", &SIGNER),
        map("schemas", &SCHEMA),
        list("revoked", &REVOCATION),
        list("baseline", &RULE),
        list("rules", &RULE),
        list("exceptions", &EXCEPTION),
    ],
};

pub(in crate::policy) static SIGNER: Kind = Kind {
    what: "a signer",
    fields: &[
        list("keys", &KEY),
        later("keyless", "Sigstore identities are not verified yet; name public keys in `keys`"),
        later("x509", "certificates are not verified yet; name public keys in `keys`"),
        one("pgp", &PGP),
        later("time", TIMED),
    ],
};

pub(in crate::policy) static PGP: Kind =
    Kind { what: "an OpenPGP signer", fields: &[one("keyring", &KEYRING), plain("fingerprint")] };

pub(in crate::policy) static KEYRING: Kind =
    Kind { what: "a keyring", fields: &[plain("pem"), plain("file"), plain("sha256")] };

pub(in crate::policy) static KEY: Kind = Kind {
    what: "a key",
    fields: &[
        plain("pem"),
        plain("file"),
        plain("sha256"),
        later("from", "it needs a trusted time, which is not read yet; leave it out"),
        plain("until"),
    ],
};

pub(in crate::policy) static REVOCATION: Kind = Kind {
    what: "a revocation",
    fields: &[
        plain("digest"),
        plain("key"),
        plain("signer"),
        later(
            "certificate",
            "certificates are not verified yet, so that none counts; leave it out",
        ),
        later("since", "it needs a trusted time, which is not read yet; leave it out"),
        plain("reason"),
    ],
};

pub(in crate::policy) static RULE: Kind = Kind {
    what: "a rule",
    fields: &[
        plain("id"),
        plain("scope"),
        one("mode", &MODE),
        list("require", &CHECK),
        one("accept", &REASONED),
        one("reject", &REASONED),
    ],
};

pub(in crate::policy) static MODE: Kind = Kind { what: "a mode", fields: &[plain("auditUntil")] };

pub(in crate::policy) static REASONED: Kind =
    Kind { what: "an `accept` or `reject`", fields: &[plain("reason")] };

pub(in crate::policy) static CHECK: Kind = Kind {
    what: "a check",
    fields: &[
        plain("id"),
        one("signed", &SIGNED),
        later("attested", "attestations are not read yet; ask for a signature with `signed`"),
        one("image", &IMAGE),
        Field { name: "anyOf", child: Child::Lists(&CHECK), later: None },
    ],
};

pub(in crate::policy) static SIGNED: Kind = Kind {
    what: "`signed`",
    fields: &[
        plain("by"),
        plain("atLeast"),
        plain("reference"),
        plain("on"),
        plain("formats"),
        plain("annotations"),
        later("maxAge", "no signed time is read yet; leave it out, or end a key with `until`"),
        later("time", TIMED),
    ],
};

pub(in crate::policy) static IMAGE: Kind = Kind {
    what: "`image`",
    fields: &[
        plain("depth"),
        plain("manifestTypes"),
        plain("configTypes"),
        plain("layerTypes"),
        plain("allowEmpty"),
        plain("artifactTypes"),
        plain("annotations"),
        one("platforms", &PLATFORMS),
        plain("digestAlgorithms"),
        plain("maxDepth"),
        plain("maxManifests"),
        plain("maxLayers"),
        plain("maxLayerBytes"),
        plain("maxImageBytes"),
        one("manifest", &SCHEMA),
        one("config", &SCHEMA),
    ],
};

pub(in crate::policy) static PLATFORMS: Kind =
    Kind { what: "`platforms`", fields: &[plain("require"), plain("allow")] };

pub(in crate::policy) static EXCEPTION: Kind = Kind {
    what: "an exception",
    fields: &[
        plain("id"),
        plain("scope"),
        plain("digests"),
        plain("waive"),
        plain("from"),
        plain("until"),
        plain("reason"),
        plain("approvedBy"),
        plain("acceptUnsigned"),
    ],
};

/// The strict profile of JSON Schema (policy language, "Predicates").
pub(in crate::policy) static SCHEMA: Kind = Kind {
    what: "a schema",
    fields: &[
        plain("$ref"),
        plain("title"),
        plain("description"),
        plain("type"),
        plain("const"),
        plain("enum"),
        plain("required"),
        plain("x-optional"),
        map("properties", &SCHEMA),
        one("additionalProperties", &SCHEMA),
        plain("minProperties"),
        plain("maxProperties"),
        one("items", &SCHEMA),
        plain("minItems"),
        plain("maxItems"),
        plain("uniqueItems"),
        plain("pattern"),
        plain("minLength"),
        plain("maxLength"),
        plain("minimum"),
        plain("maximum"),
        plain("exclusiveMinimum"),
        plain("exclusiveMaximum"),
        list("allOf", &SCHEMA),
        list("anyOf", &SCHEMA),
    ],
};
