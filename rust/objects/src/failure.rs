//! Why a request failed, whether it may go better the next time, and what to do if not.

use std::error::Error;

use object_store::client::HttpError;

use crate::http::Refusal;
use crate::tls;

/// Why one try failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In words, with what to do where that is not "later".
    pub(crate) why: String,
    /// Whether the same may succeed after a while.
    pub(crate) passing: bool,
    /// What the server answered; 0 if it did not.
    pub(crate) status: u16,
    /// S3's name for it.
    pub(crate) code: String,
}

impl Failure {
    /// No answer, or not one that is whole.
    pub(crate) fn of_transport(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            passing: true,
            status: 0,
            code: String::new(),
        }
    }

    /// Of a request that went past the client of `object_store`.
    pub(crate) fn from_http(error: HttpError) -> Self {
        match Refusal::in_causes(&error) {
            Some(refusal) => refusal.into(),
            None => Self::of_causes(&error, true),
        }
    }

    /// Of a request without an answer.
    fn of_causes(error: &(dyn Error + 'static), passing: bool) -> Self {
        if let Some(advice) = tls::in_causes(error).and_then(tls::advice) {
            let why = format!("the connection is not safe: {}{advice}", deepest(error));
            return Self {
                passing: false,
                ..Self::of_transport(why)
            };
        }
        Self {
            passing,
            ..Self::of_transport(deepest(error))
        }
    }

    /// No such object; a bucket that is not there is something else.
    pub(crate) fn is_absence(&self) -> bool {
        self.status == 404 && self.code != "NoSuchBucket"
    }

    /// The upload is over, or was never begun.
    pub(crate) fn is_unknown_upload(&self) -> bool {
        self.status == 404 && self.code != "NoSuchBucket"
    }
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        if let Some(refusal) = Refusal::in_causes(&error) {
            return refusal.into();
        }
        use object_store::Error;
        let passing = matches!(error, Error::Generic { .. } | Error::JoinError { .. });
        Self::of_causes(&error, passing)
    }
}

impl From<&Refusal> for Failure {
    fn from(refusal: &Refusal) -> Self {
        let code = refusal.code.as_str();
        let passing_code = matches!(
            code,
            "RequestTimeout"
                | "SlowDown"
                | "ServiceUnavailable"
                | "InternalError"
                | "OperationAborted"
        );
        let passing = passing_code
            || matches!(refusal.status, 408 | 409 | 425 | 429)
            || (refusal.status >= 500 && refusal.status != 501);
        let advice = match (refusal.status, code) {
            _ if passing => "",
            (_, "NoSuchBucket") => "; make the bucket, or mend its name in the URL",
            (_, "RequestTimeTooSkewed") => "; set this machine's clock",
            (_, "ExpiredToken") => "; renew the credentials and open the store again",
            (301 | 307 | 308, _) => "; give the region or the endpoint that the bucket has",
            (401 | 403, _) => {
                "; check the credentials, and that they may list, read, write and delete there"
            }
            (501, _) => "; the server can't do this: use another one",
            _ => "",
        };
        Self {
            why: format!("{refusal}{advice}"),
            passing,
            status: refusal.status,
            code: refusal.code.clone(),
        }
    }
}

/// The innermost cause: the outer ones repeat it among words of the client's own.
fn deepest(error: &dyn Error) -> String {
    let mut inner = error;
    while let Some(cause) = inner.source() {
        inner = cause;
    }
    inner.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_and_what_does_not() {
        let of = |status, code: &str| {
            Failure::from(&Refusal {
                status,
                code: code.to_owned(),
                message: String::new(),
            })
        };
        for (status, code) in [
            (500, ""),
            (503, "SlowDown"),
            (429, ""),
            (408, ""),
            (400, "RequestTimeout"),
            (409, ""),
        ] {
            assert!(of(status, code).passing, "{status} {code}");
        }
        for (status, code, says) in [
            (403, "AccessDenied", "check the credentials"),
            (404, "NoSuchBucket", "make the bucket"),
            (403, "RequestTimeTooSkewed", "clock"),
            (301, "PermanentRedirect", "region"),
            (501, "NotImplemented", "another one"),
            (400, "InvalidPart", "400 InvalidPart"),
        ] {
            let failure = of(status, code);
            assert!(
                !failure.passing && failure.why.contains(says),
                "{}",
                failure.why
            );
        }
        assert!(of(404, "NoSuchKey").is_absence() && of(404, "").is_absence());
        assert!(!of(404, "NoSuchBucket").is_absence());
    }
}
