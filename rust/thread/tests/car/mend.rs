//! CAR files whose names are set right again after somebody changed their bytes. The tests of whole scopes use it too.

use treering_block::Cid;
use treering_block::car::Varint;

/// Bytes of a CID of ours in a file.
const CID_BYTES: usize = 36;

/// Where the sections of a file stand, CID and all; as far as it can be read.
fn sections(file: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let mut varint = Varint::default();
        let length = loop {
            let Some(byte) = file.get(at) else {
                return found;
            };
            at += 1;
            match varint.push(*byte) {
                Ok(Some(length)) => break usize::try_from(length).unwrap_or(usize::MAX),
                Ok(None) => {}
                Err(_) => return found,
            }
        };
        let end = at.saturating_add(length);
        if end > file.len() {
            return found;
        }
        found.push(at..end);
        at = end;
    }
}

/// The file with every CID that is not its bytes' replaced, wherever it stands.
pub fn mended(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    // Each round sets right what links to the names of the one before.
    for _ in 0..6 {
        let places = sections(&file);
        let mut changed = false;
        for range in places.into_iter().skip(1) {
            let section = &file[range];
            let Some((old, bytes)) = section.split_at_checked(CID_BYTES) else {
                continue;
            };
            let Ok(cid) = Cid::from_bytes(old) else {
                continue;
            };
            let new = Cid::of(cid.codec(), bytes).to_bytes();
            if new == *old {
                continue;
            }
            let old = old.to_vec();
            changed = true;
            let found: Vec<usize> = (0..=file.len() - CID_BYTES)
                .filter(|at| file[*at..].starts_with(&old))
                .collect();
            for at in found {
                file[at..at + CID_BYTES].copy_from_slice(&new);
            }
        }
        if !changed {
            break;
        }
    }
    file
}
