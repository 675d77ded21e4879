//! Places that lie in one another: what is below a prefix counts as a part of what has it.
//!
//! A backup takes whatever lies below its place for its own, or refuses it; so does who takes a place for a store. So nobody
//! may begin below another: he would be in the way of all that come after. Looked for once, when a place is taken.
//! What may not be read is not known: credentials that are for one prefix alone say nothing of those above it.

use super::claim::{is_being_made, marker_of};
use crate::bucket::Bucket;
use crate::embedded::backup::lies_in;
use crate::error::{Result, StoreError};

/// Errors: `Invalid` where a place above this one has a store's large blocks, or a backup. `what`: is to begin here.
pub(in crate::embedded) fn expect_not_inside(
    bucket: &dyn Bucket,
    what: &'static str,
) -> Result<()> {
    let mut above = bucket.parent()?;
    while let Some(place) = above {
        let found = owner_of(&*place);
        match found {
            Ok(Some(owner)) => {
                return Err(StoreError::Invalid {
                    what,
                    value: bucket.url().to_owned(),
                    rule: format!(
                        "{owner} in {}, and all below that is its own: give a prefix that is not inside of it",
                        place.url()
                    ),
                });
            }
            Ok(None) => {}
            Err(error @ StoreError::Bucket { .. }) => {
                tracing::warn!(%error, place = place.url(), "whether somebody has the place above can't be told");
            }
            Err(error) => return Err(error),
        }
        above = place.parent()?;
    }
    Ok(())
}

/// Who has a place. Three requests. Errors: `Bucket`.
fn owner_of(place: &dyn Bucket) -> Result<Option<&'static str>> {
    // In this order: who takes it makes the marker before what tells of its making is removed.
    Ok(if is_being_made(place)? {
        Some("a store is being made")
    } else if marker_of(place)?.is_some() {
        Some("a store keeps its large blocks")
    } else if lies_in(place)? {
        Some("a backup lies")
    } else {
        None
    })
}
