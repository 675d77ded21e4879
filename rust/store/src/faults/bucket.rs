//! An object store in memory: counts what it is asked for, and fails as told.
//!
//! Promises: what it answered with `Ok` is there from then on, whoever asks; requests are numbered in the order in which they
//! came, and each has the mishap that was planned for its number.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bucket::{Bucket, Object};
use crate::error::{Result, StoreError};

/// What is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // The methods of the trait.
pub enum Request {
    Put,
    Create,
    Begin,
    PutPart,
    Complete,
    Abort,
    Uploads,
    Size,
    Read,
    List,
    Remove,
}

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It does not happen, and the answer is an error.
    Refused,
    /// It happens, and the answer is an error: it was lost.
    Lost,
    /// The answer is an error, and it happens before the request that comes so many later: it was under way, or the server
    /// had it and was slow. What only reads is refused.
    Late(u64),
    /// A read gives other bytes; anything else happens as it should.
    Wrong,
    /// A read gives half of the bytes; anything else is refused.
    Short,
}

/// One request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which one, from 0.
    pub number: u64,
    /// What was asked.
    pub request: Request,
    /// Of which object, or what the names begin with.
    pub name: String,
    /// Bytes that came with it, or were asked for.
    pub bytes: u64,
}

/// The parts of an upload, by their numbers.
pub type Parts = BTreeMap<u32, Arc<[u8]>>;

/// What it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Objects by name.
    pub objects: BTreeMap<String, Arc<[u8]>>,
    /// Uploads in parts that were neither completed nor given up: the object's name, and the parts.
    pub uploads: BTreeMap<String, (String, Parts)>,
    begun: u64,
}

type Hook = Arc<dyn Fn(&Asked) + Send + Sync>;
/// What a request that is late will do.
type Effect = Box<dyn FnOnce(&mut Contents) + Send>;

#[derive(Default)]
struct State {
    contents: Contents,
    asked: Vec<Asked>,
    /// From which request on, how many.
    mishaps: Vec<(u64, u64, Mishap)>,
    /// All of that kind go wrong so.
    failing: Option<(Request, Mishap)>,
    /// Before which request each.
    late: Vec<(u64, Effect)>,
    before: Option<Hook>,
    after: Option<Hook>,
}

/// See the top of this file.
pub struct SimulatedBucket {
    url: String,
    /// The place that this one lies in.
    parent: Option<Arc<SimulatedBucket>>,
    /// It knows of no condition: who creates an object looks whether it is there, and writes it then.
    unconditional: bool,
    state: Mutex<State>,
}

impl SimulatedBucket {
    /// An empty one.
    pub fn new(url: &str) -> Arc<Self> {
        Self::with(url, Contents::default())
    }

    /// One that holds this.
    pub fn with(url: &str, contents: Contents) -> Arc<Self> {
        let state = State {
            contents,
            ..State::default()
        };
        Arc::new(Self {
            url: url.to_owned(),
            parent: None,
            unconditional: false,
            state: Mutex::new(state),
        })
    }

    /// An empty one that lies in another. What it holds does not show there.
    pub fn below(parent: &Arc<Self>, name: &str) -> Arc<Self> {
        Arc::new(Self {
            url: format!("{}/{name}", parent.url),
            parent: Some(Arc::clone(parent)),
            unconditional: false,
            state: Mutex::default(),
        })
    }

    /// An empty one of a server that takes no conditions: two that create an object at once both do.
    pub fn unconditional(url: &str) -> Arc<Self> {
        Arc::new(Self {
            url: url.to_owned(),
            parent: None,
            unconditional: true,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it holds now.
    pub fn contents(&self) -> Contents {
        self.state().contents.clone()
    }

    /// Changes what it holds, as somebody else might.
    pub fn change(&self, change: impl FnOnce(&mut Contents)) {
        change(&mut self.state().contents);
    }

    /// Everything that was asked, or since [`SimulatedBucket::forget`].
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// How often this was asked.
    pub fn count(&self, request: Request) -> usize {
        let state = self.state();
        state
            .asked
            .iter()
            .filter(|asked| asked.request == request)
            .count()
    }

    /// Counts from 0 again, and plans nothing.
    pub fn forget(&self) {
        let mut state = self.state();
        state.asked.clear();
        state.mishaps.clear();
    }

    /// So many requests from that number on go wrong.
    pub fn plan(&self, from: u64, count: u64, mishap: Mishap) {
        self.state().mishaps.push((from, count, mishap));
    }

    /// All requests of that kind go wrong so, until [`SimulatedBucket::go_up`].
    pub fn fail(&self, request: Request, mishap: Mishap) {
        self.state().failing = Some((request, mishap));
    }

    /// Every request from now on is refused, until [`SimulatedBucket::go_up`].
    pub fn go_down(&self) {
        let mut state = self.state();
        let from = state.asked.len() as u64;
        state.mishaps.push((from, u64::MAX, Mishap::Refused));
    }

    /// Nothing goes wrong any more.
    pub fn go_up(&self) {
        let mut state = self.state();
        state.mishaps.clear();
        state.failing = None;
    }

    /// What is late happens now.
    pub fn arrive(&self) {
        self.state().arrive(u64::MAX);
    }

    /// Called before each request, with no lock held: it may wait, or look.
    pub fn before(&self, hook: impl Fn(&Asked) + Send + Sync + 'static) {
        self.state().before = Some(Arc::new(hook));
    }

    /// The same after each request, whatever came of it.
    pub fn after(&self, hook: impl Fn(&Asked) + Send + Sync + 'static) {
        self.state().after = Some(Arc::new(hook));
    }

    /// Runs a request as planned.
    fn ask<T>(
        &self,
        (request, name, bytes): (Request, &str, u64),
        act: impl FnOnce(&mut Contents) -> Result<T> + Send + 'static,
        spoil: impl FnOnce(&mut T, Mishap),
    ) -> Result<T> {
        let (asked, mishap, before) = {
            let mut state = self.state();
            let asked = Asked {
                number: state.asked.len() as u64,
                request,
                name: name.to_owned(),
                bytes,
            };
            state.asked.push(asked.clone());
            state.arrive(asked.number);
            let planned = state
                .mishaps
                .iter()
                .find(|(from, count, _)| asked.number >= *from && asked.number - from < *count);
            (
                asked.clone(),
                planned.map(|(_, _, mishap)| *mishap).or(state
                    .failing
                    .filter(|(of, _)| *of == request)
                    .map(|(_, mishap)| mishap)),
                state.before.clone(),
            )
        };
        if let Some(hook) = before {
            hook(&asked);
        }
        let failed = || StoreError::Bucket {
            action: "ask for",
            object: name.to_owned(),
            bucket: self.url.clone(),
            why: format!("{request:?} was to fail"),
        };
        let spoiled = request == Request::Read;
        let reads = matches!(
            request,
            Request::Uploads | Request::Size | Request::Read | Request::List
        );
        let answer = match mishap {
            Some(Mishap::Refused) => Err(failed()),
            Some(Mishap::Short) if !spoiled => Err(failed()),
            Some(Mishap::Late(_)) if reads => Err(failed()),
            Some(Mishap::Late(later)) => {
                let effect = move |contents: &mut Contents| drop(act(contents));
                let due = asked.number.saturating_add(later);
                self.state().late.push((due, Box::new(effect)));
                Err(failed())
            }
            Some(Mishap::Lost) => act(&mut self.state().contents).and_then(|_| Err(failed())),
            other => {
                let mut answer = act(&mut self.state().contents);
                if let (Ok(answer), Some(mishap)) = (&mut answer, other) {
                    spoil(answer, mishap);
                }
                answer
            }
        };
        let after = self.state().after.clone();
        if let Some(hook) = after {
            hook(&asked);
        }
        answer
    }

    /// How it answers what makes no sense to it.
    fn refused(&self, name: &str) -> impl Fn(&str) -> StoreError + Send + 'static {
        let (object, bucket) = (name.to_owned(), self.url.clone());
        move |why| StoreError::Bucket {
            action: "change",
            object: object.clone(),
            bucket: bucket.clone(),
            why: why.to_owned(),
        }
    }
}

impl State {
    /// Does what is late until this request.
    fn arrive(&mut self, number: u64) {
        let late = std::mem::take(&mut self.late);
        for (due, effect) in late {
            if due <= number {
                effect(&mut self.contents);
            } else {
                self.late.push((due, effect));
            }
        }
    }
}

fn as_it_is<T>(_: &mut T, _: Mishap) {}

/// What the server calls a part.
fn tag(bytes: &[u8]) -> String {
    let hex = blake3::hash(bytes).to_hex();
    format!("\"{}\"", hex.get(..16).unwrap_or_default())
}

impl fmt::Debug for SimulatedBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedBucket({})", self.url)
    }
}

impl Bucket for SimulatedBucket {
    fn url(&self) -> &str {
        &self.url
    }

    fn parent(&self) -> Result<Option<Arc<dyn Bucket>>> {
        Ok(self
            .parent
            .clone()
            .map(|parent| -> Arc<dyn Bucket> { parent }))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let asked = (Request::Put, name, bytes.len() as u64);
        let (name, bytes) = (name.to_owned(), bytes.into());
        let put = move |contents: &mut Contents| {
            contents.objects.insert(name, bytes);
            Ok(())
        };
        self.ask(asked, put, as_it_is)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        if self.unconditional {
            if self.size(name)?.is_some() {
                return Ok(false);
            }
            self.put(name, bytes)?;
            let there = self.read(name, 0, bytes.len() as u64 + 1)?;
            return Ok(there.as_deref() == Some(bytes));
        }
        let asked = (Request::Create, name, bytes.len() as u64);
        let (name, bytes) = (name.to_owned(), bytes.into());
        let create = move |contents: &mut Contents| {
            let new = !contents.objects.contains_key(&name);
            if new {
                contents.objects.insert(name, bytes);
            }
            Ok(new)
        };
        self.ask(asked, create, as_it_is)
    }

    fn begin(&self, name: &str) -> Result<String> {
        let of = name.to_owned();
        let begin = move |contents: &mut Contents| {
            contents.begun += 1;
            let upload = format!("upload {}", contents.begun);
            let parts = BTreeMap::new();
            contents.uploads.insert(upload.clone(), (of, parts));
            Ok(upload)
        };
        self.ask((Request::Begin, name, 0), begin, as_it_is)
    }

    fn put_part(
        &self,
        name: &str,
        upload: &str,
        number: u32,
        bytes: &[u8],
    ) -> Result<Option<String>> {
        let asked = (Request::PutPart, name, bytes.len() as u64);
        let (upload, name) = (upload.to_owned(), name.to_owned());
        let bytes: Arc<[u8]> = bytes.into();
        let put = move |contents: &mut Contents| match contents.uploads.get_mut(&upload) {
            Some((of, parts)) if *of == name => {
                let tag = tag(&bytes);
                parts.insert(number, bytes);
                Ok(Some(tag))
            }
            _ => Ok(None),
        };
        self.ask(asked, put, as_it_is)
    }

    fn complete(&self, name: &str, upload: &str, parts: &[String]) -> Result<bool> {
        let refused = self.refused(name);
        let (of, upload, parts) = (name.to_owned(), upload.to_owned(), parts.to_vec());
        let complete = move |contents: &mut Contents| {
            let found = contents.uploads.get(&upload);
            let Some((_, sent)) = found.filter(|(name, _)| *name == of) else {
                return Ok(false);
            };
            let known: Vec<String> = sent.values().map(|bytes| tag(bytes)).collect();
            if known != parts {
                return Err(refused("not the parts that were sent"));
            }
            let whole: Vec<u8> = sent
                .values()
                .flat_map(|bytes| bytes.iter().copied())
                .collect();
            contents.objects.insert(of, whole.into());
            contents.uploads.remove(&upload);
            Ok(true)
        };
        self.ask((Request::Complete, name, 0), complete, as_it_is)
    }

    fn abort(&self, name: &str, upload: &str) -> Result<()> {
        let upload = upload.to_owned();
        let abort = move |contents: &mut Contents| {
            contents.uploads.remove(&upload);
            Ok(())
        };
        self.ask((Request::Abort, name, 0), abort, as_it_is)
    }

    fn uploads(&self, name: &str) -> Result<Vec<String>> {
        let wanted = name.to_owned();
        let uploads = move |contents: &mut Contents| {
            let of = contents.uploads.iter().filter(|(_, (of, _))| *of == wanted);
            Ok(of.map(|(upload, _)| upload.clone()).collect())
        };
        self.ask((Request::Uploads, name, 0), uploads, as_it_is)
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        let wanted = name.to_owned();
        let size = move |contents: &mut Contents| {
            let found = contents.objects.get(&wanted);
            Ok(found.map(|bytes| bytes.len() as u64))
        };
        self.ask((Request::Size, name, 0), size, as_it_is)
    }

    fn read(&self, name: &str, offset: u64, length: u64) -> Result<Option<Vec<u8>>> {
        let wanted = name.to_owned();
        let read = move |contents: &mut Contents| {
            let place = |at: u64, all: usize| usize::try_from(at).unwrap_or(all).min(all);
            let found = contents.objects.get(&wanted);
            Ok(found.map(|bytes| {
                let from = place(offset, bytes.len());
                let to = place(offset.saturating_add(length), bytes.len());
                bytes.get(from..to).unwrap_or_default().to_vec()
            }))
        };
        self.ask((Request::Read, name, length), read, |answer, mishap| {
            if let Some(bytes) = answer {
                let half = bytes.len() / 2;
                match mishap {
                    Mishap::Short => bytes.truncate(half),
                    _ => {
                        if let Some(byte) = bytes.get_mut(half) {
                            *byte ^= 1;
                        }
                    }
                }
            }
        })
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Object) -> Result<()>) -> Result<()> {
        let wanted = prefix.to_owned();
        let list = move |contents: &mut Contents| {
            let found = contents
                .objects
                .iter()
                .filter(|(name, _)| name.starts_with(&wanted));
            let found = found.map(|(name, bytes)| Object {
                name: name.clone(),
                size: bytes.len() as u64,
                written_ms: 0,
            });
            Ok(found.collect::<Vec<_>>())
        };
        let found = self.ask((Request::List, prefix, 0), list, as_it_is)?;
        found.into_iter().try_for_each(each)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let of = name.to_owned();
        let remove = move |contents: &mut Contents| {
            contents.objects.remove(&of);
            Ok(())
        };
        self.ask((Request::Remove, name, 0), remove, as_it_is)
    }
}
