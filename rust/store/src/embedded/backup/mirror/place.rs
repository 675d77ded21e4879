//! What lies below a prefix: manifests, pieces, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::manifest::{MANIFEST_BYTES_MAX, Manifest, Piece};
use crate::bucket::Bucket;
use crate::embedded::objects::expect_not_inside;
use crate::error::{Result, StoreError};

const MANIFESTS: &str = "manifests/";

/// As it was when it was looked at.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Their generations.
    manifests: BTreeSet<u64>,
    /// With the bytes of each.
    pub(super) pieces: BTreeMap<Piece, u64>,
}

impl Place {
    /// Errors: `Invalid` where other objects lie; `Bucket`.
    pub(super) fn look(bucket: &dyn Bucket) -> Result<Self> {
        let mut place = Self::default();
        bucket.list("", &mut |object| {
            if let Some(generation) = generation_of(&object.name) {
                place.manifests.insert(generation);
            } else if let Some(piece) = Piece::from_name(&object.name) {
                place.pieces.insert(piece, object.size);
            } else {
                return Err(StoreError::Invalid {
                    what: "place for a backup",
                    value: bucket.url().to_owned(),
                    rule: format!(
                        "other objects lie there ({:?}): give an empty prefix, or one with a backup",
                        object.name
                    ),
                });
            }
            Ok(())
        })?;
        Ok(place)
    }

    /// Before the first backup is made there. Errors: `Invalid` in the place of a store or of another backup.
    pub(super) fn expect_not_inside(&self, bucket: &dyn Bucket) -> Result<()> {
        if self.manifests.is_empty() {
            expect_not_inside(bucket, "place for a backup")?;
        }
        Ok(())
    }

    pub(super) fn newest_generation(&self) -> Option<u64> {
        self.manifests.last().copied()
    }

    /// The manifest that is the backup, with its generation; None where there is no backup. Errors: `Invalid`
    /// where a newer one took its place meanwhile; `Corrupt`, `Bucket`.
    pub(super) fn newest(&self, bucket: &dyn Bucket) -> Result<Option<(u64, Manifest)>> {
        let Some(generation) = self.newest_generation() else {
            return Ok(None);
        };
        let name = manifest_name(generation);
        // Wrong bytes are asked for again once.
        for _ in 0..2 {
            let bytes = bucket.read(&name, 0, MANIFEST_BYTES_MAX)?;
            if bytes.is_none() {
                Self::expect_newest(bucket, generation)?;
            }
            if let Some(manifest) = bytes.as_deref().and_then(Manifest::from_bytes) {
                return Ok(Some((generation, manifest)));
            }
        }
        Err(StoreError::Corrupt {
            what: "manifest of a backup",
            which: format!("{name} in {}", bucket.url()),
            detail:
                "it is not whole, or of a later version; make the next backup under another prefix"
                    .into(),
        })
    }

    /// A newer backup removes what the one of before had. Errors: `Invalid` where there is one.
    pub(super) fn expect_newest(bucket: &dyn Bucket, generation: u64) -> Result<()> {
        if Self::look(bucket)?.newest_generation() == Some(generation) {
            return Ok(());
        }
        Err(StoreError::Invalid {
            what: "backup in a bucket",
            value: bucket.url().to_owned(),
            rule: "a newer one took its place meanwhile; run this again".into(),
        })
    }

    /// Makes the backup the newest one, after the one of generation `former`. Returns its generation.
    ///
    /// Errors: `Invalid` when another backup was made there meanwhile; `LimitExceeded`, `Bucket`.
    pub(super) fn publish(
        &self,
        bucket: &dyn Bucket,
        former: Option<u64>,
        manifest: &Manifest,
    ) -> Result<u64> {
        let generation = former.unwrap_or_default().saturating_add(1);
        let name = manifest_name(generation);
        let bytes = manifest.to_bytes(MANIFEST_BYTES_MAX)?;
        let overtaken = || StoreError::Invalid {
            what: "backup in a bucket",
            value: bucket.url().to_owned(),
            rule: "another one was made there meanwhile, and is whole; run this one again".into(),
        };
        if !bucket.create(&name, &bytes)? {
            return Err(overtaken());
        }
        // The name may be free because two others came and went.
        if Self::look(bucket)?.newest_generation() != Some(generation) {
            bucket.remove(&name)?;
            return Err(overtaken());
        }
        Ok(generation)
    }
}

/// Removes what the newest backup does not name, of generations up to its own, up to the first object that can't be: a
/// bucket that does not answer takes as long for each. Returns how many are left; the next backup goes on.
pub(super) fn remove_unnamed(bucket: &dyn Bucket, newest: u64, manifest: &Manifest) -> u64 {
    let place = match Place::look(bucket) {
        Ok(place) => place,
        Err(error) => {
            tracing::warn!(%error, "what former backups had stays behind");
            return 1;
        }
    };
    let named: BTreeSet<Piece> = manifest
        .files
        .iter()
        .flat_map(|file| &file.pieces)
        .copied()
        .collect();
    // Manifests first, and pieces once these are gone: none that is there lacks a piece.
    let manifests = place.manifests.iter().filter(|old| **old < newest);
    let pieces = place
        .pieces
        .keys()
        .filter(|piece| piece.generation <= newest && !named.contains(piece));
    let names: Vec<String> = manifests
        .map(|old| manifest_name(*old))
        .chain(pieces.map(Piece::name))
        .collect();
    let mut left = names.len() as u64;
    for name in names {
        if let Err(error) = bucket.remove(&name) {
            tracing::warn!(%error, left, "what former backups had stays behind");
            break;
        }
        left -= 1;
    }
    left
}

/// Whether a backup lies in that place. One request. Errors: `Bucket`.
pub(in crate::embedded) fn lies_in(bucket: &dyn Bucket) -> Result<bool> {
    let mut found = false;
    bucket.list(MANIFESTS, &mut |object| {
        found |= generation_of(&object.name).is_some();
        Ok(())
    })?;
    Ok(found)
}

fn manifest_name(generation: u64) -> String {
    format!("{MANIFESTS}{generation:020}")
}

fn generation_of(name: &str) -> Option<u64> {
    let generation = name.strip_prefix(MANIFESTS)?.parse().ok()?;
    (manifest_name(generation) == name).then_some(generation)
}
