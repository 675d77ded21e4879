//! HTTP under the client of `object_store`: every answer that refuses becomes a [`Refusal`], whoever asked.
//!
//! The client's own errors tell a status only in their text. It repeats nothing here: `tries.rs` does.

use std::fmt;

use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

/// The status of an answer that is a range.
const PARTIAL: u16 = 206;
/// The status for what a server can't do.
const UNKNOWN_REQUEST: u16 = 501;
/// Bytes of a refusing answer that are looked at.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Characters of an element that are passed on: keys are the longest that there should be.
const ELEMENT_CHARS_MAX: usize = 1024;
/// The same of a line that is none of S3's.
const LINE_CHARS_MAX: usize = 200;

/// An answer that is none of success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// S3's name of the error, `NoSuchBucket`; empty where the server says none.
    pub(crate) code: String,
    pub(crate) message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {}", self.status)?;
        for part in [&self.code, &self.message] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// The first in what an error came of.
    pub(crate) fn in_causes<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Self> {
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(refusal) = error.downcast_ref() {
                return Some(refusal);
            }
            cause = error.source();
        }
        None
    }
}

/// Makes clients whose refused requests say so.
#[derive(Debug, Default)]
pub(crate) struct Connector(ReqwestConnector);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service(self.0.connect(options)?)))
    }
}

#[derive(Debug)]
struct Service(HttpClient);

#[async_trait::async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let of_range = request.headers().contains_key("range");
        let mut response = self.0.execute(request).await?;
        let status = response.status();
        if status == PARTIAL || (status.is_success() && !of_range) {
            return Ok(response);
        }
        if status.is_success() {
            // Some answer with the range that was asked for, and call that the whole.
            if response.headers().contains_key("content-range")
                && let Ok(partial) = PARTIAL.try_into()
            {
                *response.status_mut() = partial;
                return Ok(response);
            }
            return Err(refused(Refusal {
                status: UNKNOWN_REQUEST,
                code: String::new(),
                message: "it gives the whole object where a range of it is asked for".to_owned(),
            }));
        }
        let mut body = response.into_body();
        let mut text = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            text.extend_from_slice(frame.data_ref().map_or(&[][..], |bytes| bytes));
            if text.len() > BODY_BYTES_MAX {
                break;
            }
        }
        let text = String::from_utf8_lossy(&text);
        Err(refused(refusal(status.as_u16(), &text)))
    }
}

/// What an answer says: in S3's XML, or, where something else than S3 answers, in a line of plain words.
fn refusal(status: u16, text: &str) -> Refusal {
    let plain = Some(text).filter(|text| !text.trim_start().starts_with('<'));
    let first = plain.and_then(|text| text.trim().lines().next());
    let message = match first {
        Some(line) => shortened(line, LINE_CHARS_MAX),
        None => element(text, "Message"),
    };
    Refusal {
        status,
        code: element(text, "Code"),
        message,
    }
}

/// Of a kind that nothing in the client repeats.
fn refused(refusal: Refusal) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, refusal)
}

/// The text of the first element of that name, shortened, in one line.
pub(crate) fn element(xml: &str, name: &str) -> String {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let found = xml
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once(&end));
    found.map_or_else(String::new, |(text, _)| shortened(text, ELEMENT_CHARS_MAX))
}

fn shortened(text: &str, chars_max: usize) -> String {
    let printable = |c: &char| !c.is_control();
    text.chars().filter(printable).take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_s3_server_says() {
        let said = refusal(400, "Client sent an HTTP request to an HTTPS server.\nbye");
        assert_eq!(
            said.to_string(),
            "the server answered 400 Client sent an HTTP request to an HTTPS server."
        );
        for nothing in ["", " \n", "<html><body>no</body></html>"] {
            assert_eq!(refusal(502, nothing).to_string(), "the server answered 502");
        }
        assert_eq!(refusal(400, &"x".repeat(999)).message.len(), 200);
    }

    #[test]
    fn what_a_server_says() {
        let xml = "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>not\nthere</Message></Error>";
        assert_eq!(element(xml, "Code"), "NoSuchBucket");
        assert_eq!(element(xml, "Message"), "notthere");
        assert_eq!(element("<Code>cut", "Code"), "");
        assert_eq!(
            element(&format!("<Code>{}</Code>", "x".repeat(9999)), "Code").len(),
            1024
        );
    }
}
