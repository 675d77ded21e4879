//! The URL of a place in a bucket: `s3://BUCKET/PREFIX?endpoint=http://127.0.0.1:9000&region=…`.
//!
//! Promises: a URL that was taken holds no secret, only where one is found, so that it can be recorded and shown; what is
//! refused is not shown where it may be one.

use std::time::Duration;

use treering_store::error::{Result, StoreError};

use crate::secret::Reference;

/// What may stand behind the `?`, each with what it means.
pub const OPTIONS: [(&str, &str); 9] = [
    (
        "endpoint",
        "http(s)://HOST:PORT of the server; without it AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else Amazon's",
    ),
    (
        "region",
        "without it AWS_REGION, AWS_DEFAULT_REGION, else us-east-1",
    ),
    (
        "path_style",
        "true: the bucket stands in the path, as with an endpoint; false: in the host's name, as with Amazon",
    ),
    (
        "access_key",
        "where the access key is found: env:NAME or file:PATH",
    ),
    (
        "secret_key",
        "where the secret key is found: env:NAME or file:PATH",
    ),
    (
        "token",
        "where the session token is found: env:NAME or file:PATH",
    ),
    (
        "instance",
        "true: credentials are those of the cloud's machine, asked of its metadata service",
    ),
    (
        "timeout",
        "seconds that one request may take, 1 to 3600; 60 without it",
    ),
    (
        "give_up",
        "seconds after which a failing call is not tried again, 0 to 3600; 120 without it",
    ),
];

const SCHEME: &str = "s3://";
/// Bytes of a URL. It is recorded in a row of the store.
const URL_BYTES_MAX: usize = 2048;
/// Bytes of the place in the bucket: a name's own follow, and 1,024 are the most that servers take for both.
const PREFIX_BYTES_MAX: usize = 512;

/// Whether a text is meant as the URL of a bucket, and not as a path: it has a scheme.
pub fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// A place in a bucket, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As it was given, without a slash at its end.
    pub(crate) url: String,
    pub(crate) bucket: String,
    /// Empty, or names with slashes between.
    pub(crate) prefix: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) path_style: Option<bool>,
    pub(crate) access_key: Option<Reference>,
    pub(crate) secret_key: Option<Reference>,
    pub(crate) token: Option<Reference>,
    pub(crate) instance: bool,
    pub(crate) timeout: Duration,
    pub(crate) give_up: Duration,
}

impl Place {
    /// Reads a URL. The bucket's name is of 3 to 63 lower-case letters, digits, `.` and `-`; the prefix of `[0-9A-Za-z._/-]`, at
    /// most 512 bytes; the options are [`OPTIONS`], their values percent-encoded where they have `&`, `%` or `#`.
    ///
    /// Errors: `Invalid` with the rule; the part that breaks it is shown unless it may be a secret.
    pub fn parse(url: &str) -> Result<Self> {
        if url.len() > URL_BYTES_MAX {
            return Err(StoreError::LimitExceeded {
                what: "bytes of a bucket's URL",
                limit: URL_BYTES_MAX as u64,
                actual: url.len() as u64,
            });
        }
        let Some(rest) = url.strip_prefix(SCHEME) else {
            let scheme = url.split_once("://").map_or("…", |(scheme, _)| scheme);
            let rule = "buckets are given as s3://BUCKET/PREFIX?OPTION=VALUE&…; of a folder give the path alone";
            return Err(refused(&format!("{scheme}://…"), rule));
        };
        let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
        if url.contains('#') || place.contains('@') {
            let rule = "it has no user, password or fragment: credentials come from the environment, or as access_key=env:NAME and secret_key=env:NAME; what was given is not shown";
            return Err(refused("s3://…", rule));
        }
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        check_bucket(bucket)?;
        check_prefix(prefix)?;
        let mut found = Self {
            url: String::new(),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: None,
            region: None,
            path_style: None,
            access_key: None,
            secret_key: None,
            token: None,
            instance: false,
            timeout: Duration::from_secs(60),
            give_up: Duration::from_secs(120),
        };
        let mut seen: Vec<&str> = Vec::new();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            if seen.contains(&name) {
                return Err(refused(name, "each option is given once"));
            }
            seen.push(name);
            found.set(name, value)?;
        }
        found.check_credentials()?;
        let slash = if prefix.is_empty() { "" } else { "/" };
        let mark = if options.is_empty() { "" } else { "?" };
        found.url = format!("{SCHEME}{bucket}{slash}{prefix}{mark}{options}");
        Ok(found)
    }

    /// The URL, to be recorded and shown.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether both are the same place: server, bucket and prefix, however they are spelled and spoken to.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        let server = |place: &Self| place.endpoint.as_deref().map(server_of);
        self.bucket == other.bucket && self.prefix == other.prefix && server(self) == server(other)
    }

    /// The place that this one lies in, spoken to alike; None at the top of the bucket.
    pub(crate) fn parent(&self) -> Option<Self> {
        if self.prefix.is_empty() {
            return None;
        }
        let prefix = self.prefix.rsplit_once('/').map_or("", |(above, _)| above);
        let slash = if prefix.is_empty() { "" } else { "/" };
        let (mark, options) = match self.url.split_once('?') {
            Some((_, options)) => ("?", options),
            None => ("", ""),
        };
        Some(Self {
            url: format!("{SCHEME}{}{slash}{prefix}{mark}{options}", self.bucket),
            prefix: prefix.to_owned(),
            ..self.clone()
        })
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let value = decoded(name, value)?;
        match name {
            "endpoint" => self.endpoint = Some(checked_endpoint(&value)?),
            "region" => self.region = Some(checked_region(&value)?),
            "path_style" => self.path_style = Some(truth(name, &value)?),
            "access_key" => self.access_key = Some(Reference::parse(name, &value)?),
            "secret_key" => self.secret_key = Some(Reference::parse(name, &value)?),
            "token" => self.token = Some(Reference::parse(name, &value)?),
            "instance" => self.instance = truth(name, &value)?,
            "timeout" => self.timeout = seconds(name, &value, 1)?,
            "give_up" => self.give_up = seconds(name, &value, 0)?,
            _ => {
                let known: Vec<&str> = OPTIONS.iter().map(|(name, _)| *name).collect();
                let rule = format!("the options of a bucket's URL are {}", known.join(", "));
                return Err(refused(&shown_name(name), &rule));
            }
        }
        Ok(())
    }

    fn check_credentials(&self) -> Result<()> {
        if self.access_key.is_some() != self.secret_key.is_some() {
            return Err(refused(
                &self.bucket,
                "access_key and secret_key are given together",
            ));
        }
        if self.token.is_some() && self.access_key.is_none() {
            return Err(refused(
                &self.bucket,
                "token is given with access_key and secret_key",
            ));
        }
        if self.instance && self.access_key.is_some() {
            return Err(refused(
                &self.bucket,
                "instance=true and access_key exclude each other",
            ));
        }
        Ok(())
    }
}

fn refused(value: &str, rule: &str) -> StoreError {
    StoreError::Invalid {
        what: "bucket URL",
        value: value.to_owned(),
        rule: rule.to_owned(),
    }
}

/// A name that is no option's may be anything, a secret without its `=` too.
fn shown_name(name: &str) -> String {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if name.len() <= 24 && name.bytes().all(is_word) {
        name.to_owned()
    } else {
        "…".to_owned()
    }
}

fn check_bucket(bucket: &str) -> Result<()> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let fine = (3..=63).contains(&bucket.len())
        && bucket.bytes().all(allowed)
        && ends(bucket.bytes().next())
        && ends(bucket.bytes().last())
        && !bucket.contains("..");
    if fine {
        return Ok(());
    }
    let rule = "a bucket's name is of 3 to 63 lower-case letters, digits, '.' and '-', and begins and ends with a letter or digit";
    Err(refused(bucket, rule))
}

fn check_prefix(prefix: &str) -> Result<()> {
    if prefix.len() > PREFIX_BYTES_MAX {
        return Err(StoreError::LimitExceeded {
            what: "bytes of the place in a bucket",
            limit: PREFIX_BYTES_MAX as u64,
            actual: prefix.len() as u64,
        });
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fine = |name: &str| !matches!(name, "" | "." | "..") && name.bytes().all(allowed);
    if prefix.is_empty() || prefix.split('/').all(fine) {
        return Ok(());
    }
    let rule = "the place in a bucket is names of letters, digits, '.', '_' and '-' with one slash between them, none of them '.' or '..'";
    Err(refused(prefix, rule))
}

pub(crate) fn checked_endpoint(value: &str) -> Result<String> {
    let rule = "endpoint is http://HOST:PORT or https://HOST:PORT, without user, path or query";
    let host = value
        .strip_prefix("http://")
        .or_else(|| value.strip_prefix("https://"));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    match host.map(|host| host.strip_suffix('/').unwrap_or(host)) {
        Some(host) if !host.is_empty() && host.bytes().all(allowed) => {
            Ok(value.strip_suffix('/').unwrap_or(value).to_owned())
        }
        _ => Err(refused("endpoint", rule)),
    }
}

/// An endpoint in the one spelling that all others of it have in common: names of hosts have no case, and each scheme has its
/// port.
fn server_of(endpoint: &str) -> String {
    let endpoint = endpoint.to_ascii_lowercase();
    let own_port = match endpoint.split_once("://") {
        Some(("https", _)) => ":443",
        _ => ":80",
    };
    let whole = endpoint.strip_suffix(own_port).unwrap_or(&endpoint);
    // The root of the names, which may be left away.
    whole.strip_suffix('.').unwrap_or(whole).to_owned()
}

fn checked_region(value: &str) -> Result<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if (1..=64).contains(&value.len()) && value.bytes().all(allowed) {
        return Ok(value.to_owned());
    }
    Err(refused(
        "region",
        "region is of 1 to 64 letters, digits and '-'",
    ))
}

fn truth(name: &str, value: &str) -> Result<bool> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(refused(name, &format!("{name} is true or false"))),
    }
}

fn seconds(name: &str, value: &str, least: u64) -> Result<Duration> {
    match value.parse() {
        Ok(number) if (least..=3600).contains(&number) => Ok(Duration::from_secs(number)),
        _ => Err(refused(
            name,
            &format!("{name} is whole seconds, {least} to 3600"),
        )),
    }
}

/// Percent-decoded.
fn decoded(name: &str, value: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            return Err(refused(
                &shown_name(name),
                "after '%' two hexadecimal digits follow",
            ));
        };
        bytes.extend(u8::try_from(high * 16 + low));
    }
    String::from_utf8(bytes).map_err(|_| refused(&shown_name(name), "values are UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_lies_in_others_up_to_the_bucket() {
        let url = "s3://data/a/b?endpoint=http://127.0.0.1:9000&give_up=3";
        let mut found = Vec::new();
        let mut place = Place::parse(url).unwrap().parent();
        while let Some(above) = place {
            assert_eq!(Place::parse(above.url()).unwrap(), above);
            found.push(above.url().to_owned());
            place = above.parent();
        }
        let rest = "?endpoint=http://127.0.0.1:9000&give_up=3";
        assert_eq!(
            found,
            [format!("s3://data/a{rest}"), format!("s3://data{rest}")]
        );
        assert_eq!(Place::parse("s3://data").unwrap().parent(), None);
    }

    #[test]
    fn what_is_taken() {
        let place = Place::parse("s3://data/a/b/?endpoint=http://127.0.0.1:9000&region=eu-1&path_style=true&access_key=env:A&secret_key=file:/run/s%26k&timeout=1&give_up=0").unwrap();
        assert_eq!((&*place.bucket, &*place.prefix), ("data", "a/b"));
        assert_eq!(place.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(place.secret_key, Some(Reference::File("/run/s&k".into())));
        assert_eq!((place.timeout.as_secs(), place.give_up.as_secs()), (1, 0));
        assert!(place.url().starts_with("s3://data/a/b?endpoint="));
        assert_eq!(Place::parse("s3://abc").unwrap().url(), "s3://abc");
        assert!(is_url("s3://x") && is_url("file:///x") && !is_url("a/b") && !is_url("://"));
    }

    #[test]
    fn one_place_has_many_spellings() {
        let place = |url: &str| Place::parse(url).unwrap();
        let of = |endpoint: &str| format!("s3://data/a?endpoint={endpoint}");
        let same = |one: &str, other: &str| place(one).is_same_place(&place(other));
        for (one, other) in [
            ("http://h", "http://H:80"),
            ("http://h/", "http://h"),
            ("https://s3.h:443", "https://S3.h./"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert!(same(&of(one), &of(other)), "{one} {other}");
        }
        for (one, other) in [
            ("http://h", "https://h"),
            ("http://h:443", "http://h"),
            ("http://h:8080", "http://h:80"),
            ("http://g", "http://h"),
        ] {
            assert!(!same(&of(one), &of(other)), "{one} {other}");
        }
        // How it is spoken to makes no other place.
        let options = "region=eu-1&timeout=5&give_up=0&access_key=env:A&secret_key=env:B";
        assert!(same("s3://data/a", &format!("s3://data/a/?{options}")));
        assert!(same("s3://data/a", "s3://data/a?path_style=true"));
        for other in ["s3://data", "s3://data/A", "s3://data/a/b", "s3://date/a"] {
            assert!(!same("s3://data/a", other), "{other}");
        }
        assert!(!same("s3://data/a", &of("http://h")));
    }

    #[test]
    fn what_is_refused_and_never_shown() {
        for (url, says) in [
            ("file:///tmp", "give the path alone"),
            ("s3://KEY:hunter2@data/x", "no user"),
            ("s3://data#hunter2", "no user"),
            ("s3://ab", "3 to 63"),
            ("s3://Data", "3 to 63"),
            ("s3://da..ta", "3 to 63"),
            ("s3://data/a//b", "names of letters"),
            ("s3://data/../b", "names of letters"),
            ("s3://data/ü", "names of letters"),
            ("s3://data?hunter2", "endpoint, region, path_style"),
            ("s3://data?colour=red", "endpoint, region, path_style"),
            (
                "s3://data?access_key=hunter2&secret_key=hunter2",
                "env:NAME",
            ),
            ("s3://data?secret_key=hunter2", "env:NAME"),
            ("s3://data?access_key=env:A", "together"),
            ("s3://data?token=env:A", "token is given with"),
            (
                "s3://data?access_key=env:A&secret_key=env:B&instance=true",
                "exclude",
            ),
            ("s3://data?endpoint=http://u:hunter2@h", "without user"),
            ("s3://data?endpoint=ftp://h", "without user"),
            ("s3://data?endpoint=http://h/x", "without user"),
            ("s3://data?timeout=0", "1 to 3600"),
            ("s3://data?give_up=3601", "0 to 3600"),
            ("s3://data?path_style=yes", "true or false"),
            ("s3://data?region=a/b", "region is of"),
            ("s3://data?region=a&region=b", "once"),
            ("s3://data?region=%zz", "hexadecimal"),
        ] {
            let error = Place::parse(url).unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{url}: {error}");
        }
        let most = format!("s3://data/{}", "p".repeat(PREFIX_BYTES_MAX));
        Place::parse(&most).unwrap();
        assert!(matches!(
            Place::parse(&format!("{most}p")),
            Err(StoreError::LimitExceeded {
                limit: 512,
                actual: 513,
                ..
            })
        ));
        let long = format!("s3://data?region={}", "r".repeat(URL_BYTES_MAX));
        assert!(matches!(
            Place::parse(&long),
            Err(StoreError::LimitExceeded { .. })
        ));
    }
}
