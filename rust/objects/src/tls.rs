//! Certificates: whom a connection trusts, and what to do where it can't.
//!
//! Promises: a certificate that does not fit is told at once, with what to do: it is as wrong the next time. Never: a way to go on
//! without looking at it.

use std::error::Error;
use std::io;

use object_store::{Certificate, ClientOptions};
use rustls::CertificateError;
use treering_store::error::{Result, StoreError};

/// Names a file with certificates of authorities, as for the SDKs of others.
pub(crate) const BUNDLE: &str = "AWS_CA_BUNDLE";

/// Trusts the authorities of a file, too. Errors: `Invalid`.
pub(crate) fn trust(options: ClientOptions, path: &str) -> Result<ClientOptions> {
    let refused = |rule: String| StoreError::Invalid {
        what: BUNDLE,
        value: path.to_owned(),
        rule,
    };
    let form = "it names a file with certificates of authorities, in PEM";
    let text = std::fs::read(path)
        .map_err(|error| refused(format!("{form}, which can't be read: {error}")))?;
    let found = Certificate::from_pem_bundle(&text).unwrap_or_default();
    if found.is_empty() {
        return Err(refused(format!("{form}, and there is none in it")));
    }
    Ok(found
        .into_iter()
        .fold(options, ClientOptions::with_root_certificate))
}

/// The failure of TLS that an error came of. Those of the system hide what they were made of from `source`.
pub(crate) fn in_causes<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let hidden = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        cause = match hidden {
            Some(hidden) => Some(hidden),
            None => error.source(),
        };
    }
    None
}

/// What to do about it; None where the next try may go better.
pub(crate) fn advice(error: &rustls::Error) -> Option<&'static str> {
    use rustls::Error;
    match error {
        Error::InvalidCertificate(why) => Some(match why {
            CertificateError::UnknownIssuer => {
                "; if the authority is your own, let AWS_CA_BUNDLE name a file with its certificate"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "; let the endpoint be a name that the certificate has, or path_style say where the bucket's name stands"
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                "; renew the server's certificate, or set this machine's clock"
            }
            _ => "; give the server a certificate that is valid",
        }),
        Error::InvalidMessage(_) => {
            Some("; the server does not speak TLS there: is it http://, or another port?")
        }
        Error::PeerIncompatible(_) => Some("; the server has to know TLS 1.2 or 1.3"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_found() {
        let wrong = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let inner = io::Error::new(io::ErrorKind::InvalidData, wrong);
        let outer = io::Error::other(inner);
        let found = in_causes(&outer).unwrap();
        assert!(advice(found).unwrap().contains(BUNDLE));
        assert!(in_causes(&io::Error::other("cut")).is_none());
        let passing = rustls::Error::General("cut".into());
        assert!(advice(&passing).is_none());
    }
}
