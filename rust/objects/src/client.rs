//! The clients of a place: to which server, whom they trust, and with which credentials.
//!
//! Promises: the URL of the place goes before the environment. Never: a request is made here.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::HttpConnector;
use object_store::{ClientOptions, RetryConfig};
use treering_store::error::{Result, StoreError};

use crate::failure::Failure;
use crate::http::Connector;
use crate::tls;
use crate::uploads::Uploads;
use crate::url::{Place, checked_endpoint};

/// Where neither the URL nor the environment says.
const REGION: &str = "us-east-1";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Names the file with which a workload of a cluster proves who it is.
const IDENTITY: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
/// Variables of the environment in which the SDKs of others look, too, and what they are to the client.
const ENVIRONMENT: [(&str, AmazonS3ConfigKey); 8] = [
    ("AWS_ACCESS_KEY_ID", AmazonS3ConfigKey::AccessKeyId),
    ("AWS_SECRET_ACCESS_KEY", AmazonS3ConfigKey::SecretAccessKey),
    ("AWS_SESSION_TOKEN", AmazonS3ConfigKey::Token),
    (IDENTITY, AmazonS3ConfigKey::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    (
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
    ),
    (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
    ),
];

/// Errors: `Invalid`.
pub(crate) fn clients(place: &Place) -> Result<(AmazonS3, Uploads)> {
    // Another crate of the process may have been first; any provider will do.
    drop(rustls::crypto::ring::default_provider().install_default());
    let endpoint = match &place.endpoint {
        Some(endpoint) => Some(endpoint.clone()),
        None => environment(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
            .map(|endpoint| checked_endpoint(&endpoint))
            .transpose()?,
    };
    let region = place
        .region
        .clone()
        .or_else(|| environment(&["AWS_REGION", "AWS_DEFAULT_REGION"]))
        .unwrap_or_else(|| REGION.to_owned());
    let in_clear = endpoint
        .as_ref()
        .is_some_and(|url| url.starts_with("http://"));
    // A name with dots, before the server's, is none that a certificate of `*.server` is for.
    let in_path = endpoint.is_some() || place.bucket.contains('.');
    let path_style = place.path_style.unwrap_or(in_path);
    // Who gives the credentials out may be spoken to by TLS all the same.
    let is_alone = place.access_key.is_some() || environment(&[IDENTITY]).is_none();
    let mut options = ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_allow_http(in_clear)
        // Certificates are looked for on this machine, which may have none: not needed then.
        .with_no_system_certificates(in_clear && is_alone)
        .with_http1_only();
    if let Some(path) = environment(&[tls::BUNDLE]) {
        options = tls::trust(options, &path)?;
    }
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&place.bucket)
        .with_http_connector(Connector::default())
        .with_client_options(options.clone())
        .with_virtual_hosted_style_request(!path_style)
        .with_disable_bulk_delete(true)
        // Whoever calls repeats, as `tries.rs` says.
        .with_retry(RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        });
    let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    let endpoint = match path_style {
        true => endpoint,
        false => host_of(&endpoint, place)?,
    };
    builder = builder.with_region(&region).with_endpoint(&endpoint);
    builder = credentials(builder, place)?;
    let unfit = |error| StoreError::Invalid {
        what: "bucket URL",
        value: place.url.clone(),
        rule: Failure::from(error).why,
    };
    let client = builder.build().map_err(unfit)?;
    let uploads = Uploads {
        http: Connector::default().connect(&options).map_err(unfit)?,
        credentials: Arc::clone(client.credentials()),
        region,
        url: if path_style {
            format!("{endpoint}/{}", place.bucket)
        } else {
            format!("{endpoint}/")
        },
    };
    Ok((client, uploads))
}

fn environment(names: &[&str]) -> Option<String> {
    let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    names.iter().find_map(set)
}

/// The bucket's own endpoint, as the client wants it where the bucket stands in the host's name. Errors: `Invalid` where
/// there can't be such a name.
fn host_of(endpoint: &str, place: &Place) -> Result<String> {
    let (scheme, host) = endpoint.split_once("://").unwrap_or(("https", endpoint));
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if host.starts_with('[') || name.parse::<Ipv4Addr>().is_ok() {
        return Err(StoreError::Invalid {
            what: "bucket URL",
            value: place.url.clone(),
            rule: format!(
                "path_style=false puts the bucket before the host's name, and {host} is a number: give a name, or path_style=true"
            ),
        });
    }
    Ok(format!("{scheme}://{}.{host}", place.bucket))
}

fn credentials(mut builder: AmazonS3Builder, place: &Place) -> Result<AmazonS3Builder> {
    if let (Some(access), Some(secret)) = (&place.access_key, &place.secret_key) {
        builder = builder
            .with_access_key_id(access.read()?)
            .with_secret_access_key(secret.read()?);
        return match &place.token {
            Some(token) => Ok(builder.with_token(token.read()?)),
            None => Ok(builder),
        };
    }
    if place.instance {
        return Ok(builder);
    }
    let mut found = false;
    for (name, key) in ENVIRONMENT {
        if let Some(value) = environment(&[name]) {
            found |= !matches!(
                name,
                "AWS_SESSION_TOKEN" | "AWS_ROLE_ARN" | "AWS_ROLE_SESSION_NAME"
            );
            builder = builder.with_config(key, value);
        }
    }
    if found {
        return Ok(builder);
    }
    Err(StoreError::Invalid {
        what: "credentials of a bucket",
        value: place.url.clone(),
        rule: "there are none: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or say in the URL where they are found (access_key=env:NAME&secret_key=env:NAME), or instance=true on a machine of the cloud".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_in_the_name_of_a_host() {
        let place = Place::parse("s3://data/x").unwrap();
        let of = |endpoint| host_of(endpoint, &place);
        assert_eq!(of("https://s3.h").unwrap(), "https://data.s3.h");
        assert_eq!(of("http://h:9000").unwrap(), "http://data.h:9000");
        for number in [
            "http://127.0.0.1",
            "http://127.0.0.1:9000",
            "https://[::1]:9000",
        ] {
            let error = of(number).unwrap_err().to_string();
            assert!(error.contains("give a name, or path_style=true"), "{error}");
        }
    }
}
