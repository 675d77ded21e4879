//! Catalogs with a draft: what `connector-catalog` and `role-catalog` are, but for what stands in them.
//!
//! Promises: a catalog is replaced as a whole or not at all, and is what its rules make of it; a draft may be unfinished;
//! neither touches the other. Both are one actor, so one version covers them. All of it is in the state's message: the
//! limits below keep that, and every event, within one node.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;

use treering_block::Cid;
use treering_thread::command::Payload;

use super::{Stores, Verb};
use crate::address::Address;
use crate::dispatch::Done;
use crate::error::{ActorError, Result, within};
use crate::kind::{Blocks, Happened, Kind, State, Unreadable};
use crate::messages::Encoding;
use crate::turn::Turn;

/// Items of a catalog.
pub const ITEMS_MAX: usize = 1_000;
/// Bytes of one item's message, a draft's too.
pub const ITEM_BYTES_MAX: usize = 64 << 10;
/// Bytes of all items' messages together.
pub const CATALOG_BYTES_MAX: usize = 512 << 10;

/// What stands in a catalog.
pub trait Item: Encoding + Clone + Debug + Default + PartialEq + 'static {
    /// A draft of it: one or none, and when it was saved.
    type Draft: Encoding + Clone + Debug + PartialEq + 'static;
    /// What many of them are called, in errors.
    const ITEMS: &'static str;
    /// What is limited, by name.
    const LIMITED: Limited;

    /// What tells it apart from others, whatever the case of its letters.
    fn key(&self) -> &str;
    /// The name of that field.
    const KEY: &'static str;

    /// In the form in which it is kept.
    #[must_use]
    fn normal(self) -> Self;

    /// That it is whole, by the rules of its type; `at` is where it stands.
    ///
    /// # Errors
    /// `InvalidCommand`, `LimitExceeded`.
    fn check(&self, at: &str) -> Result<()>;

    /// That nothing in it is a secret in clear; of a draft, too. It is asked of what was said, before it is normalised.
    ///
    /// # Errors
    /// `InvalidCommand`, never with the value.
    fn check_secrets(&self, at: &str) -> Result<()>;

    /// A draft that was saved then.
    fn draft(item: Option<Self>, updated_at_ms: i64) -> Self::Draft;

    /// Full name of the state's message.
    fn state_name() -> String;
    /// That message.
    fn state(catalog: &Catalog<Self>) -> Vec<u8>;
    /// The opposite.
    ///
    /// # Errors
    /// Why it is no such state.
    fn of_state(message: &[u8]) -> Result<Catalog<Self>, Unreadable>;
}

/// Names of what is limited, with their units.
#[derive(Clone, Copy, Debug)]
pub struct Limited {
    /// How many.
    pub items: &'static str,
    /// How large one.
    pub item: &'static str,
    /// How large all.
    pub catalog: &'static str,
}

/// A catalog with its draft.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog<T: Item> {
    /// The items, as they were saved.
    pub items: Arc<Vec<T>>,
    /// Whether they were ever saved, if only as none.
    pub saved: bool,
    /// The draft; None where there is none.
    pub draft: Option<Arc<T::Draft>>,
}

impl<T: Item> Default for Catalog<T> {
    fn default() -> Self {
        Self {
            items: Arc::default(),
            saved: false,
            draft: None,
        }
    }
}

impl<T: Item> Catalog<T> {
    /// All items are these now.
    pub(super) fn replace(&mut self, items: &[T]) {
        self.items = Arc::new(items.to_vec());
        self.saved = true;
    }

    /// The draft is this now.
    pub(super) fn set_draft(&mut self, draft: Option<&T::Draft>) {
        self.draft = draft.cloned().map(Arc::new);
    }
}

impl<T: Item> State for Catalog<T> {
    const IN_BLOCKS: bool = false;

    fn type_name() -> String {
        T::state_name()
    }

    fn save(&mut self, _: &mut Blocks<'_>) -> Result<(Vec<u8>, Vec<Cid>)> {
        Ok((T::state(self), Vec::new()))
    }

    fn load(message: &[u8], _: &[Cid]) -> Result<Self, Unreadable> {
        T::of_state(message)
    }

    fn weight(&self) -> usize {
        let bytes = |item: &T| size_of::<T>() + item.encoded_len();
        let draft = self.draft.as_ref().map_or(0, |draft| draft.encoded_len());
        self.items.iter().map(bytes).sum::<usize>() + draft
    }
}

/// A kind of catalog.
pub trait CatalogKind: Kind<State = Catalog<Self::Item>> {
    /// What stands in it.
    type Item: Item;

    /// All items were replaced.
    fn saved(items: Vec<Self::Item>) -> Happened<Self::Event>;
    /// The draft was replaced.
    fn draft_saved(draft: <Self::Item as Item>::Draft) -> Happened<Self::Event>;
    /// The draft was deleted.
    fn draft_deleted() -> Happened<Self::Event>;
}

/// Replaces all items; none is a catalog that is there and empty. The draft stays.
///
/// # Errors
/// `InvalidCommand` for an item that breaks a rule, or two of one name; `LimitExceeded` over [`ITEMS_MAX`],
/// [`ITEM_BYTES_MAX`] or [`CATALOG_BYTES_MAX`].
pub fn save<K: CatalogKind>(stores: &Stores, items: Vec<K::Item>) -> Result<Verb> {
    let limited = K::Item::LIMITED;
    within(limited.items, ITEMS_MAX, items.len())?;
    let mut payload = payload::<K>("save");
    let (mut normal, mut keys, mut bytes) = (Vec::with_capacity(items.len()), HashSet::new(), 0);
    for (place, item) in items.into_iter().enumerate() {
        payload.bytes(&item.encode_to_vec());
        let at = format!("{}[{place}]", K::Item::ITEMS);
        // As it was said, so that the place in the error is the one in what was given.
        item.check_secrets(&at)?;
        let item = item.normal();
        bytes += within_item(&item)?;
        within(limited.catalog, CATALOG_BYTES_MAX, bytes)?;
        item.check(&at)?;
        if !keys.insert(item.key().to_lowercase()) {
            let field = format!("{at}.{}", K::Item::KEY);
            return Err(ActorError::invalid(
                field,
                item.key(),
                "it comes twice, whatever its case",
            ));
        }
        normal.push(item);
    }
    change::<K>(stores, payload, move |turn, address| {
        let before = turn.load::<K>(address)?;
        if !before.state.saved || *before.state.items != normal {
            turn.append::<K>(address, [K::saved(normal.clone())])?;
        }
        Ok(())
    })
}

/// Replaces the draft, by one item or by none, with the time of the commit. It may be unfinished: it is normalised, and
/// refused for its size and for secrets in clear alone.
///
/// # Errors
/// `InvalidCommand` for a secret in clear; `LimitExceeded` over [`ITEM_BYTES_MAX`].
pub fn save_draft<K: CatalogKind>(stores: &Stores, item: Option<K::Item>) -> Result<Verb> {
    let mut payload = payload::<K>("save_draft");
    payload.maybe(item.as_ref(), |payload, item| {
        payload.bytes(&item.encode_to_vec());
    });
    if let Some(item) = &item {
        item.check_secrets("draft")?;
    }
    let item = item.map(Item::normal);
    if let Some(item) = &item {
        within_item(item)?;
    }
    change::<K>(stores, payload, move |turn, address| {
        let draft = K::Item::draft(item.clone(), turn.at_ms());
        turn.append::<K>(address, [K::draft_saved(draft)])
    })
}

/// Deletes the draft, if there is one.
///
/// # Errors
/// None.
pub fn delete_draft<K: CatalogKind>(stores: &Stores) -> Result<Verb> {
    change::<K>(stores, payload::<K>("delete_draft"), |turn, address| {
        if turn.load::<K>(address)?.state.draft.is_some() {
            turn.append::<K>(address, [K::draft_deleted()])?;
        }
        Ok(())
    })
}

fn payload<K: CatalogKind>(verb: &str) -> Payload {
    Payload::new(&format!("{} {verb}", K::Item::ITEMS))
}

fn change<K: CatalogKind>(
    stores: &Stores,
    payload: Payload,
    act: impl Fn(&mut Turn<'_>, &Address) -> Result<()> + Send + Sync + 'static,
) -> Result<Verb> {
    let address = stores.address::<K>(&[])?;
    Ok(Verb::new::<K>(address, payload, move |turn, address| {
        act(turn, address).map(|()| Done::default())
    }))
}

fn within_item<T: Item>(item: &T) -> Result<usize> {
    let bytes = item.encoded_len();
    within(T::LIMITED.item, ITEM_BYTES_MAX, bytes)?;
    Ok(bytes)
}

/// A list of names: trimmed, without blanks, and each once, whatever its case; the first of them stays, in its place.
pub(super) fn names(given: Vec<String>) -> Vec<String> {
    let mut known = HashSet::new();
    let trimmed = given.into_iter().map(|name| name.trim().to_owned());
    let once = trimmed.filter(|name| !name.is_empty() && known.insert(name.to_lowercase()));
    once.collect()
}
