//! One file's bytes: what is on disk for certain, and the changes since.

use std::sync::Arc;

use super::SECTOR_BYTES;

/// How far a change got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No sync since.
    Pending,
    /// On disk for certain, but a change before it is not.
    Synced,
    /// Its sync failed: no later one brings it back.
    Stranded,
}

#[derive(Clone, Debug)]
enum Kind {
    Write { offset: usize, bytes: Arc<[u8]> },
    SetLength(usize),
}

#[derive(Clone, Debug)]
struct Change {
    /// Its place among all changes of all files.
    order: u64,
    state: State,
    kind: Kind,
}

/// One file, whatever its names.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    on_disk: Vec<u8>,
    since: Vec<Change>,
}

impl Inode {
    /// A file that is on disk.
    pub(super) fn on_disk(bytes: Vec<u8>) -> Self {
        Self {
            on_disk: bytes,
            since: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, order: u64, offset: u64, bytes: &Arc<[u8]>) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = Arc::clone(bytes);
        self.change(order, Kind::Write { offset, bytes });
    }

    pub(super) fn set_length(&mut self, order: u64, length: u64) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.change(order, Kind::SetLength(length));
    }

    fn change(&mut self, order: u64, kind: Kind) {
        self.since.push(Change {
            order,
            state: State::Pending,
            kind,
        });
    }

    /// A sync that was done. What stands before the first stranded change becomes the file on disk.
    pub(super) fn sync(&mut self) {
        self.settle(State::Synced);
        let certain = self
            .since
            .iter()
            .position(|change| change.state != State::Synced)
            .unwrap_or(self.since.len());
        for change in self.since.drain(..certain) {
            apply(&mut self.on_disk, &change.kind, |_| true);
        }
    }

    /// A sync that failed.
    pub(super) fn strand(&mut self) {
        self.settle(State::Stranded);
    }

    fn settle(&mut self, state: State) {
        for change in &mut self.since {
            if change.state == State::Pending {
                change.state = state;
            }
        }
    }

    /// Places of the changes that may be lost.
    pub(super) fn losable(&self) -> impl Iterator<Item = u64> {
        self.since
            .iter()
            .filter(|change| change.state != State::Synced)
            .map(|change| change.order)
    }

    /// The file after a power failure: of changes that may be lost, `keep` says for each sector (change's
    /// place, sector's number in it, how many it has) whether it is there. A change of length has one.
    pub(super) fn after_failure(&self, mut keep: impl FnMut(u64, usize, usize) -> bool) -> Vec<u8> {
        let mut bytes = self.on_disk.clone();
        for change in &self.since {
            let sectors = change.kind.sectors();
            apply(&mut bytes, &change.kind, |sector| {
                change.state == State::Synced || keep(change.order, sector, sectors)
            });
        }
        bytes
    }
}

impl Kind {
    /// How many sectors of the file it touches.
    fn sectors(&self) -> usize {
        match self {
            Self::SetLength(_) => 1,
            Self::Write { offset, bytes } => {
                let end = offset.saturating_add(bytes.len());
                end.div_ceil(SECTOR_BYTES) - offset / SECTOR_BYTES
            }
        }
    }
}

/// Makes a change to `file`, of a write only those sectors that `keep` names.
fn apply(file: &mut Vec<u8>, kind: &Kind, mut keep: impl FnMut(usize) -> bool) {
    match kind {
        Kind::SetLength(length) => {
            if keep(0) {
                file.resize(*length, 0);
            }
        }
        Kind::Write { offset, bytes } => {
            // Up to the next border of a sector, then sector by sector.
            let mut rest: &[u8] = bytes;
            let mut at = *offset;
            let mut sector = 0;
            while !rest.is_empty() {
                let room = SECTOR_BYTES - at % SECTOR_BYTES;
                let (piece, after) = rest.split_at(room.min(rest.len()));
                let end = at.saturating_add(piece.len());
                if keep(sector) {
                    if file.len() < end {
                        file.resize(end, 0);
                    }
                    if let Some(place) = file.get_mut(at..end) {
                        place.copy_from_slice(piece);
                    }
                }
                (rest, at, sector) = (after, end, sector + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(inode: &mut Inode, order: u64, offset: u64, byte: u8, length: usize) {
        inode.write(order, offset, &vec![byte; length].into());
    }

    #[test]
    fn sectors_are_lost_one_by_one_and_only_before_a_sync() {
        let mut inode = Inode::default();
        written(&mut inode, 1, 0, 1, 1024);
        inode.sync();
        // Touches the ends of two sectors: 100 bytes of the first, 412 of the second.
        written(&mut inode, 2, 412, 2, 512);
        assert_eq!(inode.losable().collect::<Vec<_>>(), [2]);
        let second_only = inode.after_failure(|order, sector, sectors| {
            assert_eq!((order, sectors), (2, 2));
            sector == 1
        });
        let expected = [vec![1; 512], vec![2; 412], vec![1; 100]].concat();
        assert_eq!(second_only, expected);
        assert_eq!(inode.after_failure(|_, _, _| false), vec![1; 1024]);
        inode.sync();
        assert_eq!(inode.losable().count(), 0);
    }

    #[test]
    fn what_a_failed_sync_stranded_stays_losable() {
        let mut inode = Inode::default();
        written(&mut inode, 1, 0, 1, 512);
        inode.strand();
        written(&mut inode, 2, 512, 2, 512);
        inode.sync();
        assert_eq!(inode.losable().collect::<Vec<_>>(), [1]);
        let lost = inode.after_failure(|_, _, _| false);
        assert_eq!(lost, [vec![0; 512], vec![2; 512]].concat());
        // Written over and synced, nothing of it is left to lose.
        written(&mut inode, 3, 0, 3, 512);
        inode.sync();
        for kept in [true, false] {
            let file = inode.after_failure(|_, _, _| kept);
            assert_eq!(file, [vec![3; 512], vec![2; 512]].concat());
        }
    }

    #[test]
    fn lengths_are_lost_like_bytes() {
        let mut inode = Inode::on_disk(vec![7; 100]);
        inode.set_length(1, 10);
        written(&mut inode, 2, 10, 8, 5);
        assert_eq!(inode.after_failure(|_, _, _| true).len(), 15);
        assert_eq!(inode.after_failure(|order, _, _| order == 2).len(), 100);
        assert_eq!(inode.after_failure(|order, _, _| order == 1).len(), 10);
    }
}
