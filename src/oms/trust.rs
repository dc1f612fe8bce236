//! Whom the client trusts over TLS: the system's anchors, and those of `oms.ca_file`. Read once, when a client is made;
//! trusts nobody else, and never leaves out a certificate of `oms.ca_file` in silence.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use reqwest::Certificate;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tracing::warn;

/// Longest file of trust anchors that is read, in bytes. A whole system's bundle is about 220 KiB.
pub const MAX_CA_FILE_BYTES: u64 = 4 << 20;

/// Why a file of trust anchors cannot be used. The sentences go on after the file's name.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file system's reason.
    #[error("cannot be read: {0}; name a readable file, or take it out")]
    Unreadable(#[from] io::Error),
    /// Longer than [`MAX_CA_FILE_BYTES`].
    #[error("is longer than {MAX_CA_FILE_BYTES} bytes; name a file of certificates")]
    TooLong,
    /// No PEM certificate in it.
    #[error(
        "holds no PEM certificate; write one or more blocks that begin with -----BEGIN CERTIFICATE----- (openssl x509 \
         -inform der makes one of a DER file)"
    )]
    Empty,
    /// One certificate of it, counted from 1.
    #[error("its certificate {0} cannot be used: {1}; copy it again, whole")]
    Broken(usize, String),
}

/// Reads a file of trust anchors: its text, in which every certificate can be used.
pub fn read(path: &Path) -> Result<Vec<u8>, TrustError> {
    let mut pem = Vec::new();
    File::open(path)?.take(MAX_CA_FILE_BYTES + 1).read_to_end(&mut pem)?;
    if u64::try_from(pem.len()).is_ok_and(|length| length > MAX_CA_FILE_BYTES) {
        return Err(TrustError::TooLong);
    }
    certificates(&pem).map(|_| pem)
}

/// The certificates of a PEM text; what else is in it is left.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, TrustError> {
    let mut all = Vec::new();
    for (index, found) in CertificateDer::pem_slice_iter(pem).enumerate() {
        let broken = |why: String| TrustError::Broken(index + 1, why);
        let der = found.map_err(|error| broken(error.to_string()))?;
        RootCertStore::empty().add(der.clone()).map_err(|error| broken(error.to_string()))?;
        all.push(Certificate::from_der(&der).map_err(|error| broken(error.to_string()))?);
    }
    if all.is_empty() { Err(TrustError::Empty) } else { Ok(all) }
}

/// The system's anchors, `SSL_CERT_FILE` and `SSL_CERT_DIR` heeded; those that cannot be used are left out. With none at
/// all, why.
pub(super) fn system() -> Result<Vec<Certificate>, String> {
    let loaded = rustls_native_certs::load_native_certs();
    let usable = loaded.certs.into_iter().filter(|der| RootCertStore::empty().add(der.clone()).is_ok());
    let all: Vec<_> = usable.filter_map(|der| Certificate::from_der(&der).ok()).collect();
    let problems: Vec<_> = loaded.errors.iter().map(ToString::to_string).collect();
    if all.is_empty() {
        return Err(problems.join("; "));
    }
    for problem in problems {
        warn!(problem, "some of the system's trust anchors cannot be read");
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(content: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, content).unwrap();
        read(&path).unwrap_err().to_string()
    }

    #[test]
    fn a_file_without_a_certificate_is_refused_with_what_to_write() {
        let key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
        for content in [&b""[..], b"not PEM", b"\x30\x82\x01\x0a\xff\x00", key.as_bytes()] {
            let said = refused(content);
            assert!(said.starts_with("holds no PEM certificate; write"), "{said}");
        }
    }

    #[test]
    fn a_broken_certificate_is_refused_by_its_place() {
        for content in [
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAA\n",
        ] {
            let said = refused(content.as_bytes());
            assert!(
                said.starts_with("its certificate 1 cannot be used: ") && said.ends_with("; copy it again, whole"),
                "{said}"
            );
        }
    }

    #[test]
    fn what_is_no_file_or_too_long_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("nothing")] {
            let said = read(&path).unwrap_err().to_string();
            assert!(said.starts_with("cannot be read: "), "{said}");
        }
        let long = vec![b'\n'; usize::try_from(MAX_CA_FILE_BYTES).unwrap() + 1];
        assert!(refused(&long).starts_with("is longer than 4194304 bytes"));
    }
}
