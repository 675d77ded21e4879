//! What an object is: the block's bytes, then, of more than one group, 32 bytes for each group.

use crate::blob_tree::GROUP;

/// Bytes of a chaining value.
const VALUE: u64 = 32;
const GROUP_BYTES: u64 = GROUP as u64;

/// Bytes of the chaining values behind so much content. A single group is proved by the digest.
pub(super) const fn values_bytes(content: u64) -> u64 {
    if content <= GROUP_BYTES {
        return 0;
    }
    content.div_ceil(GROUP_BYTES).saturating_mul(VALUE)
}

/// Bytes of the object of so much content.
pub(super) const fn object_bytes(content: u64) -> u64 {
    content.saturating_add(values_bytes(content))
}

/// The other way round; None for what is no object's length.
pub(super) fn content_bytes(object: u64) -> Option<u64> {
    if object <= GROUP_BYTES {
        return Some(object);
    }
    let groups = object.div_ceil(GROUP_BYTES + VALUE);
    let content = object.checked_sub(groups.saturating_mul(VALUE))?;
    (object_bytes(content) == object).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_stands_for_one_content() {
        for content in [0, 1, 300_000, GROUP_BYTES - 1, GROUP_BYTES] {
            assert_eq!(object_bytes(content), content);
            assert_eq!(content_bytes(content), Some(content));
        }
        for groups in [1, 2, 7, 8, 9, 65_535] {
            for beyond in [1, 2, 31, 32, 33, GROUP_BYTES - 1, GROUP_BYTES] {
                let content = groups * GROUP_BYTES + beyond;
                let object = object_bytes(content);
                assert_eq!(object, content + (groups + 1) * 32);
                assert_eq!(content_bytes(object), Some(content));
            }
            // Between the greatest of so many groups and the smallest of one more.
            let greatest = object_bytes(groups * GROUP_BYTES);
            let smallest = object_bytes(groups * GROUP_BYTES + 1);
            for object in greatest + 1..smallest {
                assert_eq!(content_bytes(object), None, "{object}");
            }
        }
    }
}
