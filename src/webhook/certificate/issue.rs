//! Makes a certificate and the authority that vouches for it.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CidrSubnet, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls_pki_types::ServerName;
use zeroize::Zeroizing;

use super::CertificateError;

/// Certificates start this long ago, for an API server whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(3600);

/// A new certificate with its key and its authority, in PEM.
pub struct Issued {
    /// The authority. Nobody has its key any more.
    pub authority: String,
    /// The server's certificate.
    pub certificate: String,
    /// The server's key.
    pub key: Zeroizing<String>,
}

/// Makes a P-256 certificate for a server of these names (DNS names, IP
/// addresses), valid from an hour before `now` until `valid_for` after it.
///
/// # Errors
/// [`CertificateError::Name`] where a name is none; [`CertificateError::Make`]
/// where no randomness is to be had.
pub fn issue(
    names: &[String],
    valid_for: Duration,
    now: Timestamp,
) -> Result<Issued, CertificateError> {
    // rcgen panics on a constraint that is not ASCII, so names are checked first
    if let Some(wrong) = names.iter().find(|name| ServerName::try_from(name.as_str()).is_err()) {
        return Err(CertificateError::Name(wrong.clone()));
    }
    build(names, valid_for, now)
        .map_err(|source| CertificateError::Make { names: names.join("`, `"), source })
}

fn build(names: &[String], valid_for: Duration, now: Timestamp) -> Result<Issued, rcgen::Error> {
    let authority = CertifiedIssuer::self_signed(
        dated(authority(names, now), valid_for, now),
        KeyPair::generate()?,
    )?;
    let key = KeyPair::generate()?;
    let certificate = dated(server(names)?, valid_for, now).signed_by(&key, &authority)?;
    Ok(Issued {
        authority: authority.pem(),
        certificate: certificate.pem(),
        key: Zeroizing::new(key.serialize_pem()),
    })
}

/// An authority for these names and no others.
fn authority(names: &[String], now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    // the date tells the authorities of a bundle apart
    params.distinguished_name.push(DnType::CommonName, format!("ocisign webhook CA {now:.0}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: names.iter().map(|name| subtree(name)).collect(),
        excluded_subtrees: Vec::new(),
    });
    params
}

fn subtree(name: &str) -> GeneralSubtree {
    match name.parse::<IpAddr>() {
        Ok(address @ IpAddr::V4(_)) => {
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 32))
        }
        Ok(address @ IpAddr::V6(_)) => {
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 128))
        }
        Err(_) => GeneralSubtree::DnsName(name.to_owned()),
    }
}

fn server(names: &[String]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "ocisign webhook");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn dated(mut params: CertificateParams, valid_for: Duration, now: Timestamp) -> CertificateParams {
    let since_epoch = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch.saturating_sub(BACKDATED);
    params.not_after = epoch + since_epoch.saturating_add(valid_for);
    params
}

#[cfg(test)]
mod tests {
    use super::super::standing::{Material, Standing};
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_certificate_holds_for_its_names_and_its_time() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let day = Duration::from_secs(86_400);
        let all = names(&["ocisign.ocisign.svc", "127.0.0.1", "::1"]);
        let issued = issue(&all, 90 * day, now).unwrap();
        let material = Material::of(&issued);
        for (later, holds) in [(0, true), (89, true), (91, false)] {
            let at = now + later * day;
            let standing = material.standing(&all, at);
            assert_eq!(matches!(standing, Standing::Holds { .. }), holds, "day {later}");
        }
        // an hour for the clocks of others
        assert!(matches!(material.standing(&all, now - BACKDATED), Standing::Holds { .. }));
        let other = names(&["ocisign.other.svc"]);
        assert!(matches!(material.standing(&other, now), Standing::Fails(_)));
    }

    #[test]
    fn an_authority_vouches_for_its_names_only() {
        let now = Timestamp::now();
        let mine = names(&["a.ocisign.svc"]);
        let key = KeyPair::generate().unwrap();
        let day = Duration::from_secs(86_400);
        let authority = CertifiedIssuer::self_signed(
            dated(authority(&mine, now), day, now),
            KeyPair::generate().unwrap(),
        )
        .unwrap();
        let other = names(&["api.example"]);
        let forged = dated(server(&other).unwrap(), day, now).signed_by(&key, &authority).unwrap();
        let material = Material::of(&Issued {
            authority: authority.pem(),
            certificate: forged.pem(),
            key: Zeroizing::new(key.serialize_pem()),
        });
        assert!(matches!(material.standing(&other, now), Standing::Fails(_)));
    }

    #[test]
    fn no_name_is_an_error() {
        for name in ["ä", "", "a b", "*.*"] {
            let made = issue(&names(&[name]), Duration::from_secs(60), Timestamp::now());
            assert!(matches!(made, Err(CertificateError::Name(wrong)) if wrong == name));
        }
    }
}
