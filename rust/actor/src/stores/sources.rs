//! Sources that are kept: `workflow-storage` and `script-storage`, two kinds of one shape.
//!
//! A source is a node of its own: the event and the state link to it, so it is stored once.

use treering_block::node::{ItemNode, Typed};
use treering_block::{Block, Cid};
use treering_thread::command::Payload;

use super::shelf::{Shelf, Shelved, link, linked};
use super::{ID_BYTES_MAX, NAME_BYTES_MAX, Stores, Verb, check_length, check_text};
use crate::dispatch::Done;
use crate::error::Result;
use crate::kind::{Blocks, Happened, Kind, State, Unreadable, events};
use crate::messages::{
    Encoding, Link, Name, Script, ScriptUploaded, ScriptsState, Workflow, WorkflowUploaded,
    WorkflowsState,
};

/// UTF-8 bytes of one source.
pub const SOURCE_BYTES_MAX: usize = 512 << 10;

events! {
    /// What happens to workflows.
    WorkflowsEvent: WorkflowUploaded
}
events! {
    /// What happens to scripts.
    ScriptsEvent: ScriptUploaded
}

/// Sources by id.
#[derive(Clone, Debug, Default)]
pub struct Sources<K> {
    nodes: Shelf<SourceLink>,
    kind: std::marker::PhantomData<K>,
}

/// A link to a source's node.
#[derive(Clone, Copy, Debug)]
struct SourceLink(Cid);

impl Shelved for SourceLink {
    fn put(&self) -> Result<treering_block::Encoded> {
        link(&self.0)
    }

    fn read(value: &treering_block::Encoded) -> Result<Self> {
        linked(value).map(Self)
    }

    fn weight(&self) -> usize {
        size_of::<Cid>()
    }
}

/// The workflows of a scope.
#[derive(Clone, Debug, Default)]
pub struct WorkflowsKind;
/// The scripts of a scope.
#[derive(Clone, Debug, Default)]
pub struct ScriptsKind;

impl<K> Sources<K> {
    fn put(&mut self, id: &str, links: &[Cid], at: Option<Link>) {
        let node = at.and_then(|at| links.get(at.index as usize));
        if let Some(cid) = node {
            self.nodes.put(id, SourceLink(*cid));
        }
    }

    /// Ids of all of them, in order.
    ///
    /// # Errors
    /// Those of reading.
    pub fn ids(&self, blocks: &Blocks<'_>) -> Result<Vec<String>> {
        Ok(self.nodes.all(blocks)?.into_keys().collect())
    }

    /// The source of an id.
    ///
    /// # Errors
    /// Those of reading.
    pub fn get<M: Encoding + Default>(&self, id: &str, blocks: &Blocks<'_>) -> Result<Option<M>> {
        let node = self.nodes.get(id, blocks)?;
        node.map(|SourceLink(cid)| read_item(&cid, blocks))
            .transpose()
    }

    /// All of them, in the order of their ids.
    ///
    /// # Errors
    /// Those of reading.
    pub fn all<M: Encoding + Default>(&self, blocks: &Blocks<'_>) -> Result<Vec<M>> {
        let nodes = self.nodes.all(blocks)?;
        nodes
            .values()
            .map(|SourceLink(cid)| read_item(cid, blocks))
            .collect()
    }
}

impl Kind for WorkflowsKind {
    const NAME: &'static str = "workflow-storage";
    type State = Sources<Self>;
    type Event = WorkflowsEvent;

    fn evolve(state: &mut Self::State, happened: &Happened<WorkflowsEvent>) {
        let WorkflowsEvent::WorkflowUploaded(uploaded) = &happened.event;
        state.put(&uploaded.id, &happened.links, uploaded.workflow);
    }
}

impl Kind for ScriptsKind {
    const NAME: &'static str = "script-storage";
    type State = Sources<Self>;
    type Event = ScriptsEvent;

    fn evolve(state: &mut Self::State, happened: &Happened<ScriptsEvent>) {
        let ScriptsEvent::ScriptUploaded(uploaded) = &happened.event;
        state.put(&uploaded.id, &happened.links, uploaded.script);
    }
}

/// The state's message: where its map is.
trait Listed {
    fn name() -> String;
    fn message() -> Vec<u8>;
}

impl Listed for WorkflowsKind {
    fn name() -> String {
        WorkflowsState::full_name()
    }

    fn message() -> Vec<u8> {
        let workflows = Some(Link { index: 0 });
        WorkflowsState { workflows }.encode_to_vec()
    }
}

impl Listed for ScriptsKind {
    fn name() -> String {
        ScriptsState::full_name()
    }

    fn message() -> Vec<u8> {
        let scripts = Some(Link { index: 0 });
        ScriptsState { scripts }.encode_to_vec()
    }
}

impl<K: Listed + Clone + std::fmt::Debug + Default + Send + Sync + 'static> State for Sources<K> {
    fn type_name() -> String {
        K::name()
    }

    fn save(&mut self, blocks: &mut Blocks<'_>) -> Result<(Vec<u8>, Vec<Cid>)> {
        Ok((K::message(), vec![self.nodes.save(blocks)?]))
    }

    fn load(_: &[u8], links: &[Cid]) -> Result<Self, Unreadable> {
        Ok(Self {
            nodes: Shelf::stored(links.first().copied()),
            kind: std::marker::PhantomData,
        })
    }

    fn weight(&self) -> usize {
        self.nodes.weight()
    }
}

/// A message as a node of its own.
pub(super) fn item<M: Encoding + Name>(message: &M, links: Vec<Cid>) -> Result<Block> {
    let typed = Typed {
        type_name: M::full_name(),
        schema: 1,
        message: message.encode_to_vec(),
        links,
    };
    Ok(ItemNode { typed }.encode()?)
}

/// The message of such a node.
fn read_item<M: Encoding + Default>(cid: &Cid, blocks: &Blocks<'_>) -> Result<M> {
    super::shelf::of_item(&ItemNode::decode(cid, &blocks.get(cid)?)?.typed)
}

/// Keeps a workflow's source, in the place of what had its id.
///
/// # Errors
/// `InvalidCommand` for a blank id or source; `LimitExceeded` over [`SOURCE_BYTES_MAX`].
pub fn upload_workflow(
    stores: &Stores,
    id: &str,
    name: &str,
    yaml: &str,
    now_ms: i64,
) -> Result<Verb> {
    let mut payload = Payload::new("workflows upload");
    payload.text(id).text(name).text(yaml);
    let id = check_text("id", id, ID_BYTES_MAX)?.to_owned();
    check_length("bytes of name", name, NAME_BYTES_MAX)?;
    check_text("yaml", yaml, SOURCE_BYTES_MAX)?;
    let workflow = Workflow {
        id: id.clone(),
        name: if name.trim().is_empty() {
            id.clone()
        } else {
            name.to_owned()
        },
        yaml: yaml.to_owned(),
        uploaded_at_ms: now_ms,
    };
    let node = item(&workflow, Vec::new())?;
    let address = stores.address::<WorkflowsKind>(&[])?;
    let act = move |turn: &mut crate::turn::Turn<'_>, address: &crate::address::Address| {
        let before = turn.load::<WorkflowsKind>(address)?;
        let there: Option<Workflow> = before.state.get(&id, turn.blocks())?;
        let same = |there: Workflow| there.name == workflow.name && there.yaml == workflow.yaml;
        if !there.is_some_and(same) {
            let uploaded = WorkflowUploaded {
                id: id.clone(),
                workflow: Some(Link { index: 0 }),
            };
            let event = WorkflowsEvent::WorkflowUploaded(uploaded);
            let links = vec![turn.put(node.clone())];
            turn.append::<WorkflowsKind>(address, [Happened { event, links }])?;
        }
        Ok(Done::default())
    };
    Ok(Verb::new::<WorkflowsKind>(address, payload, act))
}

/// Keeps a script's source, in the place of what had its id.
///
/// # Errors
/// As for [`upload_workflow`].
pub fn upload_script(stores: &Stores, id: &str, source: &str, now_ms: i64) -> Result<Verb> {
    let mut payload = Payload::new("scripts upload");
    payload.text(id).text(source);
    let id = check_text("id", id, ID_BYTES_MAX)?.to_owned();
    check_text("source", source, SOURCE_BYTES_MAX)?;
    let script = Script {
        id: id.clone(),
        source: source.to_owned(),
        uploaded_at_ms: now_ms,
    };
    let node = item(&script, Vec::new())?;
    let address = stores.address::<ScriptsKind>(&[])?;
    let act = move |turn: &mut crate::turn::Turn<'_>, address: &crate::address::Address| {
        let before = turn.load::<ScriptsKind>(address)?;
        let there: Option<Script> = before.state.get(&id, turn.blocks())?;
        if there.is_none_or(|there| there.source != script.source) {
            let uploaded = ScriptUploaded {
                id: id.clone(),
                script: Some(Link { index: 0 }),
            };
            let event = ScriptsEvent::ScriptUploaded(uploaded);
            let links = vec![turn.put(node.clone())];
            turn.append::<ScriptsKind>(address, [Happened { event, links }])?;
        }
        Ok(Done::default())
    };
    Ok(Verb::new::<ScriptsKind>(address, payload, act))
}
