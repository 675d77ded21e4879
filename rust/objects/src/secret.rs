//! Where a secret is found: `env:NAME`, `file:PATH`; as `treering.secrets` has them.
//!
//! Promises: no error has the secret, or what was given in the place of a reference.

use std::io::Read;

use treering_store::error::{Result, StoreError};

/// Of a file that holds a secret: a key, no archive.
const BYTES_MAX: u64 = 64 << 10;

/// Where a secret is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// A variable of the environment.
    Env(String),
    /// A file.
    File(String),
}

impl Reference {
    pub(crate) fn parse(option: &str, text: &str) -> Result<Self> {
        let is_variable = |name: &str| {
            let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            name.bytes().all(word)
                && name
                    .bytes()
                    .next()
                    .is_some_and(|first| !first.is_ascii_digit())
        };
        match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Ok(Self::Env(name.to_owned())),
            Some(("file", path))
                if !path.trim().is_empty() && !path.chars().any(char::is_control) =>
            {
                Ok(Self::File(path.to_owned()))
            }
            _ => Err(invalid(
                option,
                "a URL is recorded and shown, so it has no secret, only where one is found: env:NAME or file:PATH; what was given is not shown",
            )),
        }
    }

    /// What it leads to, read now; of a file without one line feed at its end.
    ///
    /// Errors: `Invalid` naming the place.
    pub(crate) fn read(&self) -> Result<String> {
        let found = match self {
            Self::Env(name) => std::env::var(name).unwrap_or_default(),
            Self::File(path) => read_file(path)?,
        };
        if found.is_empty() {
            let rule = "no secret there: it is not set, or empty";
            return Err(invalid(&self.shown(), rule));
        }
        Ok(found)
    }

    fn shown(&self) -> String {
        match self {
            Self::Env(name) => format!("env:{name}"),
            Self::File(path) => format!("file:{path}"),
        }
    }
}

fn read_file(path: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Err(invalid(
            &format!("file:{path}"),
            &format!("the secret can't be read: {error}"),
        ));
    }
    if bytes.len() as u64 > BYTES_MAX {
        return Err(invalid(
            &format!("file:{path}"),
            "a file with a secret has at most 64 KiB",
        ));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| invalid(&format!("file:{path}"), "a file with a secret is UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn invalid(value: &str, rule: &str) -> StoreError {
    StoreError::Invalid {
        what: "credentials of a bucket",
        value: value.to_owned(),
        rule: rule.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_where_it_is() {
        let file = std::env::temp_dir().join(format!("treering-secret-{}", std::process::id()));
        std::fs::write(&file, "hunter2\r\n").unwrap();
        let reference = Reference::parse("token", &format!("file:{}", file.display())).unwrap();
        assert_eq!(reference.read().unwrap(), "hunter2");
        std::fs::write(&file, vec![b'a'; 65_537]).unwrap();
        assert!(reference.read().unwrap_err().to_string().contains("64 KiB"));
        std::fs::write(&file, "").unwrap();
        assert!(
            reference
                .read()
                .unwrap_err()
                .to_string()
                .contains("not set, or empty")
        );
        std::fs::remove_file(&file).unwrap();
        assert!(reference.read().is_err());
        let unset = Reference::parse("token", "env:TREERING_NOT_SET").unwrap();
        assert!(
            unset
                .read()
                .unwrap_err()
                .to_string()
                .contains("env:TREERING_NOT_SET")
        );
        for given in ["hunter2", "env:", "env:1A", "file:", "env:A-B", "vault:x"] {
            let error = Reference::parse("token", given).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && error.contains("env:NAME"));
        }
    }
}
