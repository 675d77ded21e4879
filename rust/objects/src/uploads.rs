//! Which uploads in parts are under way for an object: the one request that the client of `object_store` does not have.
//!
//! Promises: uploads of that very name alone; a server that can't tell has none.

use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};

use crate::failure::Failure;
use crate::http::element;

/// Bytes of an answer. A page of a thousand uploads has far less.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// What nothing of a query needs encoded but these, in URLs that are signed.
const UNRESERVED: &[u8] = b"-._~";

/// Asks a server for uploads.
#[derive(Debug)]
pub(crate) struct Uploads {
    pub(crate) http: HttpClient,
    pub(crate) credentials: AwsCredentialProvider,
    pub(crate) region: String,
    /// Of the bucket, without a slash at its end.
    pub(crate) url: String,
}

/// One page of an answer.
struct Page {
    ids: Vec<String>,
    /// Where the next one begins: key and upload.
    next: Option<(String, String)>,
}

impl Uploads {
    /// The ids of all that are under way for `key`.
    pub(crate) async fn of(&self, key: &str) -> Result<Vec<String>, Failure> {
        let mut found = Vec::new();
        let mut after: Option<(String, String)> = None;
        loop {
            let page = match self.page(key, after.as_ref()).await {
                // Not every server has it.
                Err(Failure {
                    status: 405 | 501, ..
                }) => return Ok(Vec::new()),
                // Some have no list where nothing is under way.
                Err(failure) if failure.is_unknown_upload() => return Ok(found),
                page => page?,
            };
            found.extend(page.ids);
            if page.next.is_none() || page.next == after {
                return Ok(found);
            }
            after = page.next;
        }
    }

    async fn page(&self, key: &str, after: Option<&(String, String)>) -> Result<Page, Failure> {
        let mut query = format!("uploads=&prefix={}", encoded(key));
        if let Some((key, upload)) = after {
            query.push_str(&format!(
                "&key-marker={}&upload-id-marker={}",
                encoded(key),
                encoded(upload)
            ));
        }
        let broken = |why: String| Failure::of_transport(why);
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = format!("{}?{query}", self.url)
            .parse()
            .map_err(|_| broken(format!("{} is no URL", self.url)))?;
        let credential = self.credentials.get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region).try_authorize(&mut request, None)?;
        let answer = self
            .http
            .execute(request)
            .await
            .map_err(Failure::from_http)?;
        let body = answer
            .into_body()
            .bytes()
            .await
            .map_err(Failure::from_http)?;
        if body.len() > ANSWER_BYTES_MAX {
            return Err(broken(format!(
                "an answer of {} bytes to a question for uploads",
                body.len()
            )));
        }
        let text = String::from_utf8_lossy(&body);
        if !text.contains("</ListMultipartUploadsResult>") {
            return Err(broken("the answer is no list of uploads".to_owned()));
        }
        Ok(page_of(&text, key))
    }
}

fn page_of(text: &str, key: &str) -> Page {
    let uploads = text.split("<Upload>").skip(1);
    let ids = uploads
        .map(|upload| upload.split("</Upload>").next().unwrap_or_default())
        .filter(|upload| plain(&element(upload, "Key")) == key)
        .map(|upload| plain(&element(upload, "UploadId")))
        .filter(|id| !id.is_empty())
        .collect();
    let more = element(text, "IsTruncated") == "true";
    let next = more.then(|| {
        let of = |name| plain(&element(text, name));
        (of("NextKeyMarker"), of("NextUploadIdMarker"))
    });
    Page { ids, next }
}

/// Without the entities of XML. Names and ids have hardly any.
fn plain(text: &str) -> String {
    let mut text = text.to_owned();
    for (entity, char) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, char);
    }
    text
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || UNRESERVED.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read() {
        let text = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>a/b</NextKeyMarker>\
            <NextUploadIdMarker>2&amp;3</NextUploadIdMarker><Upload><Key>a/b</Key><UploadId>1&lt;</UploadId></Upload>\
            <Upload><UploadId>2&amp;3</UploadId><Key>a/b</Key></Upload><Upload><Key>a/bc</Key><UploadId>4</UploadId></Upload>\
            </ListMultipartUploadsResult>";
        let page = page_of(text, "a/b");
        assert_eq!(page.ids, ["1<", "2&3"]);
        assert_eq!(page.next, Some(("a/b".to_owned(), "2&3".to_owned())));
        let last = page_of(&text.replace("true", "false"), "a/bc");
        assert_eq!((last.ids, last.next), (vec!["4".to_owned()], None));
        assert_eq!(encoded("a/b c~"), "a%2Fb%20c~");
    }
}
