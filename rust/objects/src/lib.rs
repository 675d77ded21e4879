//! Buckets of S3-compatible servers, as `treering-store` asks for them.
//!
//! What it promises: calls block, and end: each is repeated while it fails for a passing reason, for as long as the URL
//! says, and no longer; what is permanent is told at once, with what to do. No secret is in a URL, an error or a log.
//! What it must never do: know what a store keeps in a bucket, or check it; outlive a fork.

mod client;
mod failure;
mod http;
mod runtime;
mod s3;
mod secret;
mod tls;
mod tries;
mod uploads;
mod url;

use std::sync::Arc;

use treering_store::bucket::Bucket;
use treering_store::error::Result;

pub use self::url::{OPTIONS, Place, is_url};

/// The bucket at a URL; see [`Place::parse`] for its form. No request is made.
///
/// Errors: `Invalid` for a URL that is none, a secret that is not where it should be, and without credentials.
pub fn open(url: &str) -> Result<Arc<dyn Bucket>> {
    Ok(Arc::new(s3::S3::open(&Place::parse(url)?)?))
}
