//! Files of a scope by their paths: `files`. Bytes are blocks; the actor has path, CID, size, type and time of each.
//!
//! `workflows/` and `scripts/` show what those stores hold ([`Explorer`]); what is written goes to this one alone.

mod explorer;
mod grep;
mod media;
mod path;
mod pattern;
mod search;

use std::sync::Arc;

use treering_block::{Cid, Encoded, Ipld};
use treering_store::{BlockReader, Store, Upload, Uploaded};
use treering_thread::command::Payload;

pub use explorer::{Explorer, Shown};
pub use grep::Grep;
pub use media::TYPE_BYTES_MAX;
pub use path::PATH_BYTES_MAX;
pub use search::{
    Found, LINE_CHARS_MAX, PATTERN_BYTES_MAX, RESULTS_MAX, SEARCHED_BYTES_MAX, SLICE, STEPS_MAX,
    Search, refused_results,
};

use super::shelf::{Shelf, Shelved, linked, message};
use super::{Stores, Verb};
use crate::dispatch::Done;
use crate::error::{ActorError, Result};
use crate::kind::{Blocks, Happened, Kind, State, Unreadable, events};
use crate::messages::{Encoding, FileDeleted, FileInfo, FilePut, FilesState, Link, Name};

events! {
    /// What happens to files.
    FilesEvent: FilePut, FileDeleted
}

/// The files of a scope.
#[derive(Debug)]
pub struct FilesKind;

/// Files by path.
#[derive(Clone, Debug, Default)]
pub struct Files {
    shelf: Shelf<File>,
}

/// A file: what is known of it, and its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// Its link is the first of `[content]`.
    pub info: FileInfo,
    /// The block of its bytes.
    pub content: Cid,
}

/// In the map: a list of the message and the link.
impl Shelved for File {
    fn put(&self) -> Result<Encoded> {
        let message = Ipld::Bytes(self.info.encode_to_vec());
        let link = Ipld::Link(self.content.into());
        Ok(Encoded::from_ipld(&Ipld::List(vec![message, link]))?)
    }

    fn read(value: &Encoded) -> Result<Self> {
        let content = linked(value)?;
        let info = match value.to_ipld()? {
            Ipld::List(items) => match items.as_slice() {
                [Ipld::Bytes(bytes), Ipld::Link(_)] => message(&Encoded::from_bytes(bytes))?,
                _ => message(value)?,
            },
            _ => message(value)?,
        };
        Ok(Self { info, content })
    }

    fn weight(&self) -> usize {
        self.info.encoded_len() + size_of::<Cid>()
    }
}

impl Files {
    /// The file of a path.
    ///
    /// # Errors
    /// Those of reading.
    pub fn get(&self, path: &str, blocks: &Blocks<'_>) -> Result<Option<File>> {
        self.shelf.get(path, blocks)
    }

    /// Files whose paths begin so, in the order of their paths. O(files).
    ///
    /// # Errors
    /// Those of reading.
    pub fn all(&self, prefix: &str, blocks: &Blocks<'_>) -> Result<Vec<File>> {
        let all = self.shelf.all(blocks)?.into_iter();
        Ok(all
            .filter(|(path, _)| path.starts_with(prefix))
            .map(|(_, file)| file)
            .collect())
    }
}

impl Kind for FilesKind {
    const NAME: &'static str = "files";
    type State = Files;
    type Event = FilesEvent;

    fn evolve(state: &mut Files, happened: &Happened<FilesEvent>) {
        match &happened.event {
            FilesEvent::FilePut(FilePut { file: Some(info) }) => {
                let place = info.content.map(|link| link.index as usize);
                let content = place.and_then(|place| happened.links.get(place));
                if let Some(content) = content {
                    let mut info = info.clone();
                    info.content = Some(Link { index: 0 });
                    let path = info.path.clone();
                    let content = *content;
                    state.shelf.put(&path, File { info, content });
                }
            }
            FilesEvent::FilePut(FilePut { file: None }) => {}
            FilesEvent::FileDeleted(deleted) => state.shelf.remove(&deleted.path),
        }
    }
}

impl State for Files {
    fn type_name() -> String {
        FilesState::full_name()
    }

    fn save(&mut self, blocks: &mut Blocks<'_>) -> Result<(Vec<u8>, Vec<Cid>)> {
        let state = FilesState {
            files: Some(Link { index: 0 }),
        };
        Ok((state.encode_to_vec(), vec![self.shelf.save(blocks)?]))
    }

    fn load(message: &[u8], links: &[Cid]) -> Result<Self, Unreadable> {
        FilesState::decode(message)?;
        Ok(Self {
            shelf: Shelf::stored(links.first().copied()),
        })
    }

    fn weight(&self) -> usize {
        self.shelf.weight()
    }
}

/// Bytes of a file on their way in.
pub struct Incoming {
    upload: Box<dyn Upload>,
    size: u64,
    size_max: u64,
}

impl Incoming {
    /// Begins to take at most `size_max` bytes.
    ///
    /// # Errors
    /// Those of [`Store::upload`].
    pub fn begin(store: &dyn Store, size_max: u64) -> Result<Self> {
        let upload = store.upload()?;
        Ok(Self {
            upload,
            size: 0,
            size_max,
        })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `LimitExceeded`; those of [`Upload::write`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > self.size_max {
            return Err(ActorError::LimitExceeded {
                what: "bytes of a file",
                limit: self.size_max,
                actual: self.size,
            });
        }
        Ok(self.upload.write(bytes)?)
    }

    /// All of it, to be put under a path.
    ///
    /// # Errors
    /// `InvalidCommand` for no bytes at all; those of [`Upload::finish`].
    pub fn finish(self) -> Result<Arc<Uploaded>> {
        if self.size == 0 {
            return Err(ActorError::invalid("data", "", "it is empty"));
        }
        Ok(self.upload.finish()?)
    }
}

/// What a path is checked for before its bytes come: path and type. The type that will be stored.
///
/// # Errors
/// `InvalidCommand` for what is no path, or in a view; for what is no media type.
pub fn check_put(path: &str, content_type: Option<&str>) -> Result<String> {
    path::check_writable(path)?;
    match content_type {
        Some(media) => media::check(media),
        None => Ok(media::of_path(path).to_owned()),
    }
}

/// Puts a file, in the place of what had its path; its type is told by its name where nobody says it.
///
/// # Errors
/// As for [`check_put`].
pub fn put(
    stores: &Stores,
    path: &str,
    upload: Arc<Uploaded>,
    content_type: Option<&str>,
) -> Result<Verb> {
    let mut payload = Payload::new("files put");
    payload.text(path).bytes(&upload.cid().to_bytes());
    payload.maybe(content_type, |payload, media| {
        payload.text(media);
    });
    let media = check_put(path, content_type)?;
    let address = stores.address::<FilesKind>(&[])?;
    let (path, content, size) = (path.to_owned(), upload.cid(), upload.size());
    let act = move |turn: &mut crate::turn::Turn<'_>, address: &crate::address::Address| {
        let before = turn.load::<FilesKind>(address)?;
        let there = before.state.get(&path, turn.blocks())?;
        let same = |file: File| file.content == content && file.info.content_type == media;
        if !there.is_some_and(same) {
            let file = FileInfo {
                path: path.clone(),
                content: Some(Link { index: 0 }),
                size,
                content_type: media.clone(),
                updated_at_ms: turn.at_ms(),
            };
            let event = FilesEvent::FilePut(FilePut { file: Some(file) });
            let links = vec![content];
            turn.append::<FilesKind>(address, [Happened { event, links }])?;
        }
        Ok(Done::default())
    };
    Ok(Verb::new::<FilesKind>(address, payload, act).bringing(upload))
}

/// Deletes a file, if there is one of that path.
///
/// # Errors
/// `InvalidCommand` for what is no path, or in a view.
pub fn delete(stores: &Stores, path: &str) -> Result<Verb> {
    let mut payload = Payload::new("files delete");
    payload.text(path);
    path::check_writable(path)?;
    let address = stores.address::<FilesKind>(&[])?;
    let path = path.to_owned();
    let act = move |turn: &mut crate::turn::Turn<'_>, address: &crate::address::Address| {
        let before = turn.load::<FilesKind>(address)?;
        if before.state.get(&path, turn.blocks())?.is_some() {
            let deleted = FileDeleted { path: path.clone() };
            turn.append::<FilesKind>(address, [deleted.into()])?;
        }
        Ok(Done::default())
    };
    Ok(Verb::new::<FilesKind>(address, payload, act))
}

/// The bytes of what the explorer shows, to be read in pieces.
pub type Content = Box<dyn BlockReader>;

#[cfg(test)]
mod tests {
    use treering_fuzz::Fuzz;

    use super::*;

    fn file() -> File {
        File {
            info: FileInfo {
                path: "a/b.md".into(),
                content: Some(Link { index: 0 }),
                size: 5,
                content_type: "text/markdown".into(),
                updated_at_ms: 1_760_000_000_000,
            },
            content: Cid::of_raw(b"bytes"),
        }
    }

    #[test]
    fn a_file_in_the_map_is_its_message_and_a_link() {
        let value = file().put().unwrap();
        let Ipld::List(items) = value.to_ipld().unwrap() else {
            panic!("no list")
        };
        let [Ipld::Bytes(message), Ipld::Link(link)] = &items[..] else {
            panic!("{items:?}")
        };
        assert_eq!(message, &file().info.encode_to_vec());
        assert_eq!(Cid::try_from(link).unwrap(), file().content);
        assert_eq!(File::read(&value).unwrap(), file());
    }

    #[test]
    fn fuzz_a_file_in_the_map() {
        Fuzz::new("fuzz_file")
            .seeds([file().put().unwrap().bytes().to_vec()])
            .cases(5_000)
            .run(
                |input| {
                    let value = Encoded::decode_from(input).map_err(|error| error.to_string())?;
                    File::read(&value).map_err(|error| error.to_string())
                },
                |_, file| {
                    if let Ok(file) = file {
                        assert_eq!(File::read(&file.put().unwrap()).unwrap(), file);
                    }
                },
            );
    }
}
