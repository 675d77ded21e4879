//! What a disk holds: files and names, on disk for certain or not yet.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::inode::Inode;
use super::trace::Event;
use super::{Dice, trace::Trace};

/// What a power failure takes of what was not synced. Seeds make it repeatable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Everything.
    All,
    /// Nothing.
    Nothing,
    /// Each sector, length and name by a throw of dice.
    Random(u64),
    /// What came after some moment; what was being written then is torn.
    Torn(u64),
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    File(usize),
    Directory,
}

/// A change of names, not on disk for certain.
#[derive(Clone, Debug)]
struct Naming {
    /// Its place among all changes.
    order: u64,
    /// The directory whose sync makes it certain.
    directory: PathBuf,
    removes: Option<PathBuf>,
    adds: Option<(PathBuf, Entry)>,
}

impl Naming {
    fn apply(&self, names: &mut Names) {
        if let Some(path) = &self.removes {
            names.remove(path);
        }
        if let Some((path, entry)) = &self.adds {
            names.insert(path.clone(), *entry);
        }
    }
}

type Names = BTreeMap<PathBuf, Entry>;

/// A disk at one moment of a trace. Paths are relative to the recorder's root.
#[derive(Clone, Debug, Default)]
pub struct Image {
    inodes: Vec<Inode>,
    /// As processes see them.
    names: Names,
    /// As they are on disk for certain.
    names_on_disk: Names,
    namings: Vec<Naming>,
    order: u64,
}

impl Image {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// What lies below `root` now, all of it on disk for certain. The index of SQLite's log is left out:
    /// it does not outlive its processes. Errors: the system's.
    pub fn of_directory(root: &Path) -> io::Result<Self> {
        let mut image = Self::new();
        let mut open = vec![root.to_owned()];
        while let Some(directory) = open.pop() {
            for found in fs::read_dir(&directory)? {
                let path = found?.path();
                let name = path.strip_prefix(root).map_err(io::Error::other)?;
                let entry = if path.is_dir() {
                    open.push(path.clone());
                    Entry::Directory
                } else if path.to_string_lossy().ends_with("-shm") {
                    continue;
                } else {
                    image.inodes.push(Inode::on_disk(fs::read(&path)?));
                    Entry::File(image.inodes.len() - 1)
                };
                image.names.insert(name.to_owned(), entry);
            }
        }
        image.names_on_disk = image.names.clone();
        Ok(image)
    }

    /// The disk after all of `trace`.
    pub fn after(mut self, trace: &Trace) -> Self {
        trace.iter().for_each(|event| self.apply(event));
        self
    }

    /// Goes on by one event.
    pub fn apply(&mut self, event: &Event) {
        self.order += 1;
        let order = self.order;
        match event {
            Event::Mark(_) => {}
            Event::Open(path) => {
                if !self.names.contains_key(path) {
                    self.inodes.push(Inode::default());
                    let entry = Entry::File(self.inodes.len() - 1);
                    self.rename(path, None, Some((path.clone(), entry)));
                }
            }
            Event::Write {
                path,
                offset,
                bytes,
            } => {
                if let Some(inode) = self.inode(path) {
                    inode.write(order, *offset, bytes);
                }
            }
            Event::SetLength { path, length } => {
                if let Some(inode) = self.inode(path) {
                    inode.set_length(order, *length);
                }
            }
            Event::Sync(path) => {
                if let Some(inode) = self.inode(path) {
                    inode.sync();
                }
            }
            Event::SyncFailed(path) => {
                if let Some(inode) = self.inode(path) {
                    inode.strand();
                }
            }
            Event::SyncDirectory(path) => {
                let names = &mut self.names_on_disk;
                self.namings.retain(|naming| {
                    let certain = naming.directory == *path;
                    if certain {
                        naming.apply(names);
                    }
                    !certain
                });
            }
            Event::MakeDirectory(path) => {
                self.rename(path, None, Some((path.clone(), Entry::Directory)));
            }
            Event::Rename { from, to } => {
                if let Some(entry) = self.names.get(from).copied() {
                    self.rename(to, Some(from.clone()), Some((to.clone(), entry)));
                }
            }
            Event::Remove(path) => self.rename(path, Some(path.clone()), None),
        }
    }

    fn rename(&mut self, path: &Path, removes: Option<PathBuf>, adds: Option<(PathBuf, Entry)>) {
        let naming = Naming {
            order: self.order,
            directory: path.parent().unwrap_or(Path::new("")).to_owned(),
            removes,
            adds,
        };
        naming.apply(&mut self.names);
        self.namings.push(naming);
    }

    fn inode(&mut self, path: &Path) -> Option<&mut Inode> {
        match self.names.get(path) {
            Some(Entry::File(inode)) => self.inodes.get_mut(*inode),
            _ => None,
        }
    }

    /// How many changes a power failure could take now.
    pub fn losable(&self) -> usize {
        self.losable_orders().len()
    }

    fn losable_orders(&self) -> Vec<u64> {
        let mut orders: Vec<u64> = self.inodes.iter().flat_map(Inode::losable).collect();
        orders.extend(self.namings.iter().map(|naming| naming.order));
        orders.sort_unstable();
        orders
    }

    /// Writes what the disk holds after a power failure now into the directory `into`.
    /// Errors: the system's.
    pub fn materialise(&self, loss: Loss, into: &Path) -> io::Result<()> {
        let mut chance = Chance::new(loss, &self.losable_orders());
        let mut names = self.names_on_disk.clone();
        for naming in &self.namings {
            if chance.keeps(naming.order, 0, 1) {
                naming.apply(&mut names);
            }
        }
        // In the order of paths a directory comes before what is in it. Without it, that is lost too.
        for (path, entry) in &names {
            let to = into.join(path);
            if !to.parent().is_some_and(Path::is_dir) {
                continue;
            }
            match entry {
                Entry::Directory => fs::create_dir(&to)?,
                Entry::File(inode) => {
                    let inode = self.inodes.get(*inode).cloned().unwrap_or_default();
                    let bytes =
                        inode.after_failure(|order, sector, of| chance.keeps(order, sector, of));
                    fs::write(&to, bytes)?;
                }
            }
        }
        Ok(())
    }
}

/// Decides what is kept.
struct Chance {
    loss: Loss,
    dice: Dice,
    /// Of 256 throws so many keep.
    keeps_of_256: u64,
    /// The change that is torn.
    torn: u64,
}

impl Chance {
    fn new(loss: Loss, losable: &[u64]) -> Self {
        let mut dice = match loss {
            Loss::Random(seed) | Loss::Torn(seed) => Dice(seed),
            Loss::All | Loss::Nothing => Dice(0),
        };
        // Little is lost, half, or almost all.
        let keeps_of_256 = match dice.below(3) {
            0 => 245,
            1 => 128,
            _ => 20,
        };
        let place = usize::try_from(dice.below(losable.len() as u64)).unwrap_or(0);
        Self {
            loss,
            dice,
            keeps_of_256,
            torn: losable.get(place).copied().unwrap_or(0),
        }
    }

    fn keeps(&mut self, order: u64, sector: usize, of: usize) -> bool {
        match self.loss {
            Loss::All => false,
            Loss::Nothing => true,
            Loss::Random(_) => self.dice.below(256) < self.keeps_of_256,
            Loss::Torn(_) if order == self.torn => sector < of / 2,
            Loss::Torn(_) => order < self.torn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_write(path: &str, bytes: &[u8]) -> Event {
        Event::Write {
            path: path.into(),
            offset: 0,
            bytes: bytes.into(),
        }
    }

    fn held(image: &Image, loss: Loss) -> Vec<(PathBuf, Vec<u8>)> {
        let into = tempfile::tempdir().unwrap();
        image.materialise(loss, into.path()).unwrap();
        let mut found: Vec<_> = fs::read_dir(into.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().is_file())
            .map(|entry| (entry.file_name().into(), fs::read(entry.path()).unwrap()))
            .collect();
        found.sort();
        found
    }

    #[test]
    fn a_name_is_there_once_its_directory_is_synced() {
        let mut image = Image::new().after(&vec![
            Event::Open("a".into()),
            event_write("a", b"bytes"),
            Event::Sync("a".into()),
        ]);
        assert_eq!(held(&image, Loss::All), []);
        assert_eq!(
            held(&image, Loss::Nothing),
            [("a".into(), b"bytes".to_vec())]
        );
        image.apply(&Event::SyncDirectory("".into()));
        assert_eq!(held(&image, Loss::All), [("a".into(), b"bytes".to_vec())]);
        image.apply(&Event::Rename {
            from: "a".into(),
            to: "b".into(),
        });
        assert_eq!(held(&image, Loss::All)[0].0, Path::new("a"));
        assert_eq!(held(&image, Loss::Nothing)[0].0, Path::new("b"));
        image.apply(&Event::SyncDirectory("".into()));
        image.apply(&Event::Remove("b".into()));
        assert_eq!(held(&image, Loss::All)[0].0, Path::new("b"));
        assert_eq!(held(&image, Loss::Nothing), []);
    }

    #[test]
    fn what_lies_in_a_lost_directory_is_lost() {
        let mut image = Image::new().after(&vec![
            Event::MakeDirectory("d".into()),
            Event::Open("d/a".into()),
            Event::SyncDirectory("d".into()),
        ]);
        let into = tempfile::tempdir().unwrap();
        image.materialise(Loss::All, into.path()).unwrap();
        assert!(!into.path().join("d").exists());
        image.apply(&Event::SyncDirectory("".into()));
        image.materialise(Loss::All, into.path()).unwrap();
        assert!(into.path().join("d/a").exists());
    }

    #[test]
    fn dice_fall_the_same_for_the_same_seed_and_differ_for_others() {
        let bytes: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8 + 1).collect();
        let mut image = Image::new().after(&vec![
            Event::Open("a".into()),
            Event::SyncDirectory("".into()),
        ]);
        image.apply(&event_write("a", &bytes));
        let all: Vec<_> = (0..20)
            .map(|seed| held(&image, Loss::Random(seed)))
            .collect();
        assert_eq!(all[3], held(&image, Loss::Random(3)));
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert!(distinct.len() > 10);
        let torn = held(&image, Loss::Torn(1));
        assert_eq!(torn[0].1, bytes[..torn[0].1.len()]);
        assert!(torn[0].1.len() < bytes.len() && !torn[0].1.is_empty());
    }
}
