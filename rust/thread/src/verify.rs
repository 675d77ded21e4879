//! stub
use treering_store::{Store, VerifyReport};
/// stub
pub fn verify_threads(_store: &dyn Store, _report: &mut VerifyReport) -> crate::Result<()> { Ok(()) }
