//! Projections: a view made of the events of actors, and with it, in one ref, what of each source the view has seen.
//!
//! Promises: view and checkpoint move in one commit with whatever else is done for the same events, and only from the
//! state that they were made of; so an event is never counted twice, and nothing older overwrites newer. An event
//! that a source has is found, whatever has become of the journal.
//! Must never: run the caller's function, or deliver by itself.

mod lives;
mod past;
mod search;

use std::collections::{BTreeMap, BTreeSet};

use treering_block::collection::Map;
use treering_block::node::ProjectionNode;
use treering_block::{Block, Cid, Encoded, Ipld};
use treering_store::name::listing_prefix;
use treering_store::{
    Carried, Change, Cursor, Expect, Landing, RefMove, RefName, Store, StoreError, Version,
};

use crate::error::{ActorError, Result};
use crate::read::{Reader, steadily};
use crate::stores::{KINDS, is_kind};

use lives::Lives;

pub use past::Past;
pub use search::{Behind, Page, Search};

/// The kind of a projection's ref.
pub const PROJECTION: &str = "projection";

/// One projection of a scope, and which actors it follows.
pub struct Projection {
    reader: Reader,
    name: RefName,
    /// (scope, kind), in order, each once.
    sources: Vec<(String, String)>,
    following: [u8; 32],
    /// The view before the first event, and the collections in it.
    start: (Encoded, Carried),
}

/// A projection as it stood at one moment. Cheap to clone.
#[derive(Clone)]
pub struct Projected {
    /// The ref's version and target; None if it was never written.
    stood: Option<(u64, Cid)>,
    view: Encoded,
    carried: Carried,
    collections: Vec<Cid>,
    events: u64,
    seen: Version<Map>,
    cursor: Option<Cursor>,
    lives: Lives,
}

impl Projected {
    /// How often it was written; 0 for never.
    pub fn version(&self) -> u64 {
        self.stood.map_or(0, |(version, _)| version)
    }

    /// Its node; None if it was never written.
    pub fn cid(&self) -> Option<Cid> {
        self.stood.map(|(_, cid)| cid)
    }

    /// Whether it stands where the other one does, and what was seen counts for the same sources.
    pub fn is_same(&self, other: &Self) -> bool {
        self.stood == other.stood && self.lives == other.lives
    }

    /// The view.
    pub fn view(&self) -> &Encoded {
        &self.view
    }

    /// Links in the view that are roots of lists and maps.
    pub fn collections(&self) -> &[Cid] {
        &self.collections
    }

    /// Events that were seen, of all sources.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many sources it has seen something of.
    pub fn sources(&self) -> u64 {
        self.seen.collection().len()
    }

    /// Where the journal was read up to, of these sources.
    pub fn cursor(&self) -> Option<Cursor> {
        self.cursor
    }

    /// The newest version that was seen of a source, 0 for nothing: so for one whose scope was erased since.
    ///
    /// # Errors
    /// Those of reading.
    pub fn seen(&self, source: &str) -> Result<u64> {
        let found = self.seen.look(|map, draft| map.get(source, draft))?;
        let counts = |value: Encoded| self.lives.seen(source, &value);
        Ok(found.map(counts).transpose()?.flatten().unwrap_or(0))
    }

    /// Sources with the newest version that was seen of each, those behind `after`, at most `limit`. Without those whose
    /// scope was erased since.
    ///
    /// # Errors
    /// Those of reading.
    pub fn checkpoint(&self, after: Option<&str>, limit: usize) -> Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        self.seen.look(|map, draft| {
            found.clear();
            let mut take = |key: &str, value: Encoded| {
                match self.lives.seen(key, &value) {
                    Ok(Some(seen)) => found.push((key.to_owned(), seen)),
                    Ok(None) => {}
                    Err(error) => return Err(error),
                }
                Ok(found.len() < limit)
            };
            match after {
                Some(after) => map.each_after(after, draft, &mut take),
                None => map.each(draft, &mut take),
            }
        })?;
        Ok(found)
    }
}

/// What a commit has to bring so that the projection moves.
pub struct Step {
    /// The ref's move.
    pub step: RefMove,
    /// Blocks, children first.
    pub blocks: Vec<Block>,
    /// To be told once the commit is answered.
    pub landing: Landing,
    /// The projection after it, if it lands.
    pub after: Projected,
}

/// What there is to say of a projection without its sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How often it was written.
    pub version: u64,
    /// Events that were seen.
    pub events: u64,
    /// Sources that something was seen of.
    pub sources: u64,
}

impl Projection {
    /// The projection of that name in `scope`, over the actors of `kinds` in the scopes `of`. `start`: its view before
    /// the first event.
    ///
    /// # Errors
    /// `Invalid` for a blank name or scope, or an unknown kind; `LimitExceeded` for a name over 1,024 bytes escaped.
    pub fn new(
        reader: Reader,
        scope: &str,
        name: &str,
        of: &[String],
        kinds: &[String],
        start: (Encoded, Carried),
    ) -> Result<Self> {
        let name = RefName::new(scope, PROJECTION, [name])?;
        for kind in kinds {
            if !is_kind(kind) {
                return Err(StoreError::Invalid {
                    what: "kind of an actor",
                    value: kind.clone(),
                    rule: format!("it is one of {}, or your own: x.<name>", KINDS.join(", ")),
                }
                .into());
            }
        }
        let mut sources = Vec::with_capacity(of.len() * kinds.len());
        for scope in of {
            treering_store::name::check_scope(scope)?;
            sources.extend(kinds.iter().map(|kind| (scope.clone(), kind.clone())));
        }
        sources.sort_unstable();
        sources.dedup();
        Ok(Self {
            following: following(scope, &sources)?,
            reader,
            name,
            sources,
            start,
        })
    }

    /// Its ref.
    pub fn name(&self) -> &RefName {
        &self.name
    }

    /// As it stands: view and checkpoint of one moment.
    ///
    /// # Errors
    /// `Corrupt`, naming it; the store's.
    pub fn load(&self) -> Result<Projected> {
        steadily(|| self.read(), |error| Some(error))
    }

    fn read(&self) -> Result<Projected> {
        let store = self.reader.store();
        let lives = self.lives()?;
        let Some(value) = store.read_ref(&self.name)? else {
            let (view, carried) = self.start.clone();
            return Ok(Projected {
                stood: None,
                view,
                carried,
                collections: Vec::new(),
                events: 0,
                seen: Version::new()?,
                cursor: None,
                lives,
            });
        };
        let cid = value.target;
        let node = read_node(&**store, &self.name, &cid)?;
        // A cursor of other sources says nothing of these.
        let same = node.following == self.following;
        let cursor = node.cursor.filter(|_| same);
        Ok(Projected {
            stood: Some((value.version, cid)),
            view: node.view,
            carried: Carried::default(),
            collections: node.collections,
            events: node.events,
            seen: Version::load(store, &node.seen)?,
            cursor: cursor.and_then(|text| text.parse().ok()),
            lives,
        })
    }

    /// Which lives of their names the scopes that it follows are in. O(notes of erasures).
    fn lives(&self) -> Result<Lives> {
        let erasures = self.reader.store().erasures()?;
        let mut lives = BTreeMap::new();
        for (scope, kind) in &self.sources {
            if let Some(note) = erasures.of(scope).last() {
                let name = self.source(&RefName::new(scope, kind, [""; 0])?);
                let (scope, _) = name.split_once('/').unwrap_or_default();
                lives.insert(scope.to_owned(), note.id.to_bytes());
            }
        }
        Ok(Lives(lives))
    }

    /// What makes of `now` a projection that has seen `seen` (source, version) more, in that order. `view`: the view
    /// then, with its collections; None if it stays. `cursor`: None if it stays.
    ///
    /// # Errors
    /// `LimitExceeded` for a view that no node holds; `Invalid` for a version that is not newer than what was seen;
    /// `RefMoved` where a scope was erased since `now`: of which life the versions are is not known.
    pub fn advance(
        &self,
        now: &Projected,
        view: Option<(Encoded, Carried)>,
        seen: &[(String, u64)],
        cursor: Option<Cursor>,
    ) -> Result<Step> {
        for (source, version) in seen {
            let before = now.seen(source)?;
            if *version <= before {
                return Err(StoreError::Invalid {
                    what: "version of a source",
                    value: format!("{source} {version}"),
                    rule: format!("version {before} was seen already"),
                }
                .into());
            }
        }
        if self.lives()? != now.lives {
            return Err(StoreError::RefMoved {
                name: self.name.clone(),
                expected: self.stands(now),
                actual: self.reader.store().read_ref(&self.name)?,
            }
            .into());
        }
        self.step(now, view, seen, cursor, seen.len() as u64)
    }

    fn stands(&self, now: &Projected) -> Expect {
        match now.stood {
            // By its target too: one that was deleted and made anew may have come to the same version.
            Some((version, target)) => Expect::At { version, target },
            None => Expect::Absent,
        }
    }

    /// What makes of `now` a projection whose view was made anew. `back`: sources that were taken back, and the version
    /// that there is of each.
    ///
    /// # Errors
    /// `LimitExceeded` for a view that no node holds.
    pub fn remake(
        &self,
        now: &Projected,
        view: (Encoded, Carried),
        back: &[(String, u64)],
    ) -> Result<Step> {
        self.step(now, Some(view), back, None, 0)
    }

    fn step(
        &self,
        now: &Projected,
        view: Option<(Encoded, Carried)>,
        seen: &[(String, u64)],
        cursor: Option<Cursor>,
        events: u64,
    ) -> Result<Step> {
        let store = self.reader.store();
        let (view, mut carried, collections) = match view {
            Some((view, carried)) => {
                let mut roots: Vec<Cid> = carried.0.iter().map(|part| part.root.cid).collect();
                roots.sort_unstable();
                roots.dedup();
                (view, carried, roots)
            }
            None => (
                now.view.clone(),
                now.carried.clone(),
                now.collections.clone(),
            ),
        };
        let seen_after = now.seen.change(&[], |map, draft| {
            for (source, version) in seen {
                map.insert(source, now.lives.encoded(source, *version)?, draft)?;
            }
            Ok(())
        })?;
        carried.0.push(seen_after.rooted().clone());
        let (mut blocks, landing) = carried.blocks(store)?;
        let cursor = cursor.or(now.cursor);
        let mut after = Projected {
            stood: None,
            view,
            carried: Carried::default(),
            collections,
            events: now.events.saturating_add(events),
            seen: seen_after,
            cursor,
            lives: now.lives.clone(),
        };
        let node = ProjectionNode {
            view: after.view.clone(),
            collections: after.collections.clone(),
            seen: after.seen.rooted().root.cid,
            events: after.events,
            following: self.following,
            cursor: cursor.map(|cursor| cursor.to_string()),
        }
        .encode()?;
        let target = node.cid;
        blocks.push(node);
        after.stood = Some((now.version() + 1, target));
        Ok(Step {
            step: RefMove {
                name: self.name.clone(),
                expect: self.stands(now),
                change: Change::Set {
                    target,
                    record: Vec::new(),
                },
            },
            blocks,
            landing,
            after,
        })
    }

    /// The move that deletes it.
    pub fn deletion(&self) -> RefMove {
        RefMove {
            name: self.name.clone(),
            expect: Expect::Any,
            change: Change::Delete,
        }
    }

    /// What a source is called in the checkpoint: the encoded name of its log's ref. That of one in the projection's own
    /// scope goes without the scope, so that a scope that is copied under another name goes on where it was.
    pub fn source(&self, log: &RefName) -> String {
        let (scope, rest) = log.encoded().split_at(self.scope_bytes(log));
        if log.scope() == self.name.scope() {
            rest.to_owned()
        } else {
            format!("{scope}{rest}")
        }
    }

    /// The log's ref of a source.
    ///
    /// # Errors
    /// `Corrupt` for a text that is none.
    pub fn log(&self, source: &str) -> Result<RefName> {
        let own = self.name.encoded();
        let own = own.get(..self.scope_bytes(&self.name)).unwrap_or(own);
        let text = match source.starts_with('/') {
            true => format!("{own}{source}"),
            false => source.to_owned(),
        };
        RefName::parse(&text).map_err(|error| self.corrupt(format!("source {source:?}: {error}")))
    }

    /// Bytes of the escaped scope at the beginning of a name.
    fn scope_bytes(&self, name: &RefName) -> usize {
        let prefix = listing_prefix(name.scope(), name.kind());
        prefix.len() - name.kind().len() - 2
    }

    /// Whether it follows actors of that scope and kind.
    pub fn follows(&self, scope: &str, kind: &str) -> bool {
        let order = |one: &(String, String)| (one.0.as_str(), one.1.as_str()).cmp(&(scope, kind));
        self.sources.binary_search_by(order).is_ok()
    }

    fn corrupt(&self, detail: String) -> ActorError {
        ActorError::corrupt(&self.name, 0, None, detail)
    }
}

/// Projections of a scope in the order of their names, those after `after` (None: from the first), at most `limit`.
///
/// # Errors
/// Those of reading; what is wrong with one stands in its place.
pub fn projections(
    reader: &Reader,
    scope: &str,
    after: Option<&RefName>,
    limit: usize,
) -> Result<Vec<(RefName, Result<Summary>)>> {
    let store = reader.store();
    let summary = |name: &RefName| {
        steadily(
            || {
                let Some(value) = store.read_ref(name)? else {
                    return Err(StoreError::RefNotFound(name.clone()).into());
                };
                let node = read_node(&**store, name, &value.target)?;
                Ok(Summary {
                    version: value.version,
                    events: node.events,
                    sources: Version::<Map>::load(store, &node.seen)?.collection().len(),
                })
            },
            |error| Some(error),
        )
    };
    let rows = store.list_refs(scope, PROJECTION, after, limit)?;
    let rows = rows.into_iter().map(|(name, value)| {
        let summary = value.map_err(Into::into).and_then(|_| summary(&name));
        (name, summary)
    });
    Ok(rows.collect())
}

fn read_node(store: &dyn Store, name: &RefName, cid: &Cid) -> Result<ProjectionNode> {
    let broken = |detail: String| ActorError::corrupt(name, 0, Some(*cid), detail);
    let bytes = store.get(cid).map_err(|error| match error {
        StoreError::Corrupt { .. } | StoreError::BlockNotFound(_) => broken(error.to_string()),
        other => other.into(),
    })?;
    ProjectionNode::decode(cid, &bytes).map_err(|error| broken(error.to_string()))
}

/// A digest of what is followed; the projection's own scope without its name.
fn following(own: &str, sources: &[(String, String)]) -> Result<[u8; 32]> {
    let without = |(scope, kind): &(String, String)| {
        let scope = if scope == own { "" } else { scope };
        (scope.to_owned(), kind.clone())
    };
    // In an order that does not depend on the own scope's name.
    let pairs: BTreeSet<(String, String)> = sources.iter().map(without).collect();
    let texts = pairs.into_iter().flat_map(|(scope, kind)| [scope, kind]);
    let list = Encoded::from_ipld(&Ipld::List(texts.map(Ipld::String).collect()))?;
    Ok(*Cid::of_node(list.bytes()).digest())
}
