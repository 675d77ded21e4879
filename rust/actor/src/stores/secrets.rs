//! Secrets in what stores keep: named where they are needed, never kept.
//!
//! Promises: a value under a name that tells that it is a secret is refused in clear, and so is a URL with a password or
//! such a parameter, wherever one stands; the errors name the field and the rule. Must never: put a refused value into an
//! error.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::error::{ActorError, Result, within};
use crate::messages::{Secret, TextOrSecret};

/// UTF-8 bytes of a reference.
pub const REFERENCE_BYTES_MAX: usize = 1024;
/// They may stand around a URL, and in one.
const QUOTES: [char; 3] = ['"', '\'', '`'];
/// What stands in an error for what is not shown.
const HIDDEN: &str = "…";
/// Words of which one in a name tells; `api key`, with at most one character between its parts, does too.
const WORDS: [&str; 5] = ["authorization", "cookie", "token", "secret", "password"];

/// Whether what goes by that name is a secret: authorization, cookie, token, secret, password, api.?key, in any case.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    WORDS.iter().any(|word| name.contains(word))
        || name.match_indices("api").any(|(at, api)| {
            let rest = name.get(at + api.len()..).unwrap_or_default();
            let mut behind = rest.chars();
            behind.next();
            rest.starts_with("key") || behind.as_str().starts_with("key")
        })
}

/// Refuses a value in clear under a name that tells that it is a secret.
///
/// # Errors
/// `InvalidCommand` with the name, not the value.
pub fn check_clear(field: &str, name: &str) -> Result<()> {
    if !is_secret_name(name) {
        return Ok(());
    }
    let rule = "a secret is not kept in clear; give where it is found: Secret(\"env:NAME\") or Secret(\"file:PATH\")";
    Err(ActorError::invalid(field.to_owned(), name, rule))
}

/// Refuses what is no reference: it may be the secret itself.
///
/// # Errors
/// `InvalidCommand` without the value; `LimitExceeded` over [`REFERENCE_BYTES_MAX`].
pub fn check_reference(field: &str, reference: &str) -> Result<()> {
    within(
        "bytes of a secret's reference",
        REFERENCE_BYTES_MAX,
        reference.len(),
    )?;
    let is_variable = |name: &str| {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        name.bytes().all(word)
            && name
                .bytes()
                .next()
                .is_some_and(|first| !first.is_ascii_digit())
    };
    let is_path = |path: &str| !path.trim().is_empty() && !path.chars().any(char::is_control);
    let known = match reference.split_once(':') {
        Some(("env", name)) => is_variable(name),
        Some(("file", path)) => is_path(path),
        _ => false,
    };
    if known {
        return Ok(());
    }
    let rule = "a secret is a reference: env:NAME (letters, digits and _), or file:PATH; what was given is not shown";
    Err(ActorError::invalid(field.to_owned(), HIDDEN, rule))
}

/// The same of the secret of a field, if there is one.
pub(super) fn check_secret(field: &str, secret: Option<&Secret>) -> Result<()> {
    secret.map_or(Ok(()), |secret| check_reference(field, &secret.reference))
}

/// Refuses secrets in clear among values by name, URLs with one in names and values, and references that are none.
pub(super) fn check_values(field: &str, values: &BTreeMap<String, TextOrSecret>) -> Result<()> {
    for (name, value) in values {
        check_urls(field, name)?;
        check_secret(field, value.secret.as_deref())?;
        if !value.text.trim().is_empty() {
            check_clear(field, name)?;
        }
        check_urls(field, &value.text)?;
    }
    Ok(())
}

/// Refuses a text that may be many things - a command line, a path, an argument, a value - where a word of it is a URL
/// with a secret. A word is looked into where it has `://` or `?`: all else with `=` or `@` in it is no URL.
pub(super) fn check_urls(field: &str, text: &str) -> Result<()> {
    for word in text.split_whitespace() {
        if word.contains("://") || word.contains('?') {
            check_url(field, word)?;
        }
    }
    Ok(())
}

/// The same of each text of a list.
pub(super) fn check_lists(lists: &[(String, &[String])]) -> Result<()> {
    for (field, texts) in lists {
        for (place, text) in texts.iter().enumerate() {
            check_urls(&format!("{field}[{place}]"), text)?;
        }
    }
    Ok(())
}

/// Refuses a URL with a password, for http(s) with a user as well (who has a token writes it there), or with a parameter
/// whose name tells that it is a secret: as it is written, and with its `%xx` read.
pub(super) fn check_url(field: &str, url: &str) -> Result<()> {
    check_written(field, url)?;
    match percent_decode_str(url).decode_utf8_lossy() {
        Cow::Borrowed(_) => Ok(()),
        Cow::Owned(read) => check_written(field, &read),
    }
}

fn check_written(field: &str, url: &str) -> Result<()> {
    // One in a parameter of another is a URL as well.
    let mut parts = url.split("://");
    let mut scheme = if url.contains("://") {
        parts.next()
    } else {
        None
    }
    .unwrap_or_default();
    for rest in parts {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let scheme = std::mem::replace(&mut scheme, rest).to_ascii_lowercase();
        let is_web = scheme.ends_with("http") || scheme.ends_with("https");
        let is_secret = |user: &str| match user.split_once(':') {
            Some((_, password)) if !password.is_empty() => true,
            _ => is_web && !user.is_empty(),
        };
        let told = match authority.rsplit_once('@') {
            Some((user, _)) => is_secret(user),
            // What stands where a port does and is none, with an @ later on, is a password that has a / or such in it.
            None => authority.split_once(':').is_some_and(|(host, port)| {
                let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
                rest.contains('@') && !is_port && !host.starts_with('[')
            }),
        };
        if told {
            let rule = "a URL holds no user and no password: they would be kept in clear; name them in a header or in auth";
            return Err(ActorError::invalid(field.to_owned(), HIDDEN, rule));
        }
    }
    // Some put parameters behind a #, too.
    for parameter in url.split(['?', '#', '&', ';']).skip(1) {
        if let Some((name, value)) = parameter.split_once('=')
            && !value.trim_matches(QUOTES).is_empty()
        {
            check_clear(field, name)?;
        }
    }
    Ok(())
}

/// What an error may show of a URL or command: nothing that could be a password or a parameter.
pub(super) fn shown(text: &str) -> &str {
    if text.contains(['@', '?', '=', '#']) {
        return HIDDEN;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_tell() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "COOKIE",
            "Set-Cookie",
            "X-Auth-Token",
            "secret",
            "MY_SECRET_2",
            "dbPassword",
            "apikey",
            "API_KEY",
            "api-key",
            "x.api.key",
            "ApiKey",
            "apiapi key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "",
            "Accept",
            "User-Agent",
            "api",
            "key",
            "apixxkey",
            "a-p-i-key",
            "passwd",
            "PATH",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
        // One character, however many bytes it has.
        assert!(is_secret_name("apiékey"));
        assert!(!is_secret_name("apiéékey"));
    }

    #[test]
    fn references() {
        for given in [
            "env:A",
            "env:_a9",
            "file:/run/secrets/x",
            "file:a b",
            "file:~/x",
        ] {
            check_reference("f", given).unwrap();
        }
        let long = format!("file:{}", "x".repeat(REFERENCE_BYTES_MAX));
        for given in [
            "", "env:", "env:9", "env:a b", "env:a-b", "env:é", "ENV:A", "file:", "file: ",
            "file:a\n", "hunter2", "sk-12345", "vault:x", " env:A", &long,
        ] {
            let error = check_reference("f", given).unwrap_err().to_string();
            // "env:" and "file:" stand in the rule.
            assert!(given.len() <= 5 || !error.contains(given), "{error}");
        }
        let most = format!("file:{}", "x".repeat(REFERENCE_BYTES_MAX - 5));
        check_reference("f", &most).unwrap();
    }

    #[test]
    fn urls_with_secrets() {
        for url in [
            "https://user:pw@host/",
            "https://a@b:pw@host",
            "https://host?token=pw",
            "https://host/?a=1&API_KEY=pw",
            "https://host/#x?secret=pw",
            "host?password=pw",
            "https://host?a;access_token=pw",
            "https://host/#access_token=pw",
            "https://host/?a=1#b=2&token=pw",
            "https://host/?next=https://user:pw@other",
            "https://proxy/https://user:pw@host",
            "https://pw@host/",
            "HTTP://pw:@host",
            "https://host/?tok%65n=pw",
            "https://host/?next=https%3A%2F%2Fuser:pw@other",
            "ssh://user:pw@host",
            "https://us%C3%A9r:pw@host?a=%FF",
            "postgres://ann:o'pw@db/x",
            "postgres://ann:a/pw@db/x",
            "postgres://ann:a?pw#@db/x",
            "/find?q=o'x&token=pw",
            "/find?q=`x`&token=\"pw\"",
        ] {
            for checked in [
                check_url("f", url),
                check_urls("f", &format!("curl -X '{url}' -v")),
            ] {
                let error = checked.unwrap_err().to_string();
                assert!(!error.contains("pw"), "{error}");
            }
        }
        for text in [
            "--url=https://user:pw@host",
            "/find?api_key=pw",
            "a=postgres://u:pw@h/d",
        ] {
            let error = check_urls("f", text).unwrap_err().to_string();
            assert!(!error.contains("pw"), "{error}");
        }
        for url in [
            "ssh://git@host/x.git",
            "postgres://user:@host",
            "https://@host",
            "https://host/%40%",
            "https://host:8080/a:b@c",
            "http://[::1]:80/a@b",
            "https://host?token=''",
            "https://host?token=",
            "https://host?q=a",
        ] {
            check_url("f", url).unwrap();
            check_urls("f", url).unwrap();
        }
        for text in [
            "--max-tokens=100",
            "git@host:repo.git",
            "a:b@c",
            "token=$TOKEN cmd",
            "cmd https://a.example; token=x cmd",
        ] {
            check_urls("f", text).unwrap();
        }
    }
}
