//! A disk that fails as told, and that shows what it would hold after a power failure. For tests: of this
//! store, and of what is built on it.
//!
//! [`Recorder`] stands between a store and its files ([`crate::Disk::behind`]). It keeps the [`Trace`] of
//! all changes and can make any of them fail. [`Image`] replays a trace up to a moment of choice and
//! writes what a disk may hold then: what was synced, and of the rest whatever a [`Loss`] leaves.
//!
//! [`SimulatedBucket`] is an object store in memory that fails as told.
//!
//! [`Cuts`] goes through the moments that matter. [`FaultyStore`] fails one floor higher: calls of any
//! store, as its [`Faults`] say.
//!
//! Promises: nothing that was synced is ever lost or changed; of what was not, any sectors, names and
//! lengths may be lost, apart from each other and in any order.
//! Never: a crash is drawn with anything but the seed that it was asked with.

mod bucket;
mod cuts;
mod image;
mod inode;
mod plan;
mod recorder;
mod relay;
mod small_disk;
mod store;
mod trace;

pub use bucket::{Asked, Contents, Mishap, Parts, Request, SimulatedBucket};
pub use cuts::{Cut, Cuts};
pub use image::{Image, Loss};
pub use plan::{Call, Fault, Faults};
pub use recorder::{Among, BadRead, Failure, Operations, Recorder};
pub use small_disk::SmallDisk;
pub use store::FaultyStore;
pub use trace::{Event, Trace};

/// A sector: what a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// Numbers that look random and follow from a seed (splitmix64, Steele et al. 2014).
#[derive(Clone, Copy, Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..below`; 0 if there is none.
    fn below(&mut self, below: u64) -> u64 {
        self.next().checked_rem(below).unwrap_or(0)
    }
}
