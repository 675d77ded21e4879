//! All that can be read by a path: the files, and, under `workflows/` and `scripts/`, the sources of those stores.
//!
//! Promises: one look sees each of the three as one version of it, and reads a view's only where it may be meant.
//! Never: anything is written.

use std::sync::Arc;

use treering_block::Cid;
use treering_store::upload::Held;

use super::grep::Grep;
use super::path::{self, VIEWS};
use super::search::Search;
use super::{Content, File, FilesKind, media};
use crate::error::Result;
use crate::kind::{Blocks, Kind};
use crate::loaded::Loaded;
use crate::messages::{FileInfo, Link, Script, Workflow};
use crate::stores::sources::{ScriptsKind, WorkflowsKind};
use crate::stores::{Stores, look};

/// What a workflow's source is.
const WORKFLOW_TYPE: &str = "application/yaml";
/// What a script's source is, if its id says nothing.
const SCRIPT_TYPE: &str = "text/plain";

/// A file, and what it shows if it is in a view.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// What is known of it.
    pub file: File,
    /// The source that it shows; None for a file of its own.
    pub source: Option<Arc<[u8]>>,
}

/// The files of a scope at one version, and its sources as they are when they are asked for.
pub struct Explorer {
    stores: Stores,
    files: Arc<Loaded<FilesKind>>,
    /// A version of the past has no views.
    has_views: bool,
}

impl Explorer {
    /// As it is, or, without the views, as it was at a version.
    ///
    /// # Errors
    /// `NoSuchVersion`, `HistoryTrimmed`; those of reading.
    pub fn of(stores: &Stores, version: Option<u64>) -> Result<Self> {
        let address = stores.address::<FilesKind>(&[])?;
        let files = match version {
            None => stores.reader().now::<FilesKind>(&address)?,
            Some(version) => stores.reader().at::<FilesKind>(&address, version)?,
        };
        Ok(Self {
            stores: stores.clone(),
            files,
            has_views: version.is_none(),
        })
    }

    fn now<K: Kind>(&self) -> Result<Arc<Loaded<K>>> {
        let address = self.stores.address::<K>(&[])?;
        self.stores.reader().now::<K>(&address)
    }

    fn look<T>(&self, find: impl FnOnce(&Blocks<'_>) -> Result<T>) -> Result<T> {
        look(&**self.stores.reader().store(), find)
    }

    /// The version of the files.
    pub fn version(&self) -> u64 {
        self.files.place.version
    }

    /// What is at a path; None for nothing.
    ///
    /// # Errors
    /// `InvalidCommand` for what is no path; those of reading.
    pub fn get(&self, path: &str) -> Result<Option<Shown>> {
        path::check(path)?;
        self.look(|blocks| {
            if let Some(shown) = self.source(path, blocks)? {
                return Ok(Some(shown));
            }
            let file = self.files.state.get(path, blocks)?;
            Ok(file.map(|file| Shown { file, source: None }))
        })
    }

    fn source(&self, path: &str, blocks: &Blocks<'_>) -> Result<Option<Shown>> {
        if !self.has_views {
            return Ok(None);
        }
        let [workflows, scripts] = VIEWS;
        if let Some(id) = path::id_of(workflows, path) {
            let found = self.now::<WorkflowsKind>()?.state.get(&id, blocks)?;
            return Ok(found.and_then(workflow));
        }
        if let Some(id) = path::id_of(scripts, path) {
            let found = self.now::<ScriptsKind>()?.state.get(&id, blocks)?;
            return Ok(found.and_then(script));
        }
        Ok(None)
    }

    /// What is at paths that begin so, in the order of the paths. O(files), and O(sources) where they may be meant.
    ///
    /// # Errors
    /// Those of reading.
    pub fn list(&self, prefix: &str) -> Result<Vec<Shown>> {
        self.look(|blocks| {
            let files = self.files.state.all(prefix, blocks)?.into_iter();
            let mut all: Vec<Shown> = files.map(|file| Shown { file, source: None }).collect();
            let [workflows, scripts] = VIEWS.map(|view| self.has_views && may_be_in(prefix, view));
            if workflows {
                let found = self.now::<WorkflowsKind>()?.state.all(blocks)?;
                all.extend(found.into_iter().filter_map(workflow));
            }
            if scripts {
                let found = self.now::<ScriptsKind>()?.state.all(blocks)?;
                all.extend(found.into_iter().filter_map(script));
            }
            all.retain(|shown| shown.file.info.path.starts_with(prefix));
            all.sort_by(|one, other| one.file.info.path.cmp(&other.file.info.path));
            Ok(all)
        })
    }

    /// Opens what was found, to be read in pieces.
    ///
    /// # Errors
    /// Those of [`Store::reader`].
    pub fn open(&self, shown: &Shown) -> Result<Content> {
        Ok(match &shown.source {
            Some(bytes) => Box::new(Held(Arc::clone(bytes))),
            None => self.stores.reader().store().reader(&shown.file.content)?,
        })
    }

    /// Begins to look for lines in all text files, as they are now.
    ///
    /// # Errors
    /// Those of reading.
    pub fn grep(&self, search: Search) -> Result<Grep> {
        Ok(Grep::new(
            self.stores.clone(),
            self.version(),
            self.list("")?,
            search,
        ))
    }
}

/// Whether paths that begin so can be in a view.
fn may_be_in(prefix: &str, view: &str) -> bool {
    let folder = format!("{view}/");
    folder.starts_with(prefix) || prefix.starts_with(&folder)
}

fn workflow(workflow: Workflow) -> Option<Shown> {
    let [view, _] = VIEWS;
    let path = path::in_view(view, &workflow.id)?;
    let media = WORKFLOW_TYPE.to_owned();
    Some(shown(path, workflow.yaml, media, workflow.uploaded_at_ms))
}

fn script(script: Script) -> Option<Shown> {
    let [_, view] = VIEWS;
    let path = path::in_view(view, &script.id)?;
    let media = match media::of_path(&path) {
        known if media::is_text(known) => known,
        _ => SCRIPT_TYPE,
    };
    Some(shown(
        path,
        script.source,
        media.to_owned(),
        script.uploaded_at_ms,
    ))
}

fn shown(path: String, source: String, content_type: String, updated_at_ms: i64) -> Shown {
    let source: Arc<[u8]> = source.into_bytes().into();
    let info = FileInfo {
        path,
        content: Some(Link { index: 0 }),
        size: source.len() as u64,
        content_type,
        updated_at_ms,
    };
    let content = Cid::of_raw(&source);
    Shown {
        file: File { info, content },
        source: Some(source),
    }
}
