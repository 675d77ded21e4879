//! [`Bucket`] over a bucket of an S3-compatible server.
//!
//! Promises: as the trait does. Servers differ in whether they know `If-None-Match`: [`Bucket::create`] asks for it, and looks
//! before and reads back after all the same. A bucket that is not there is an error, never an object that is not there.
//! Never: anything of a parent's is touched in a process that was forked.

use std::mem::ManuallyDrop;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use treering_store::bucket::{Bucket, Object, PART_BYTES};
use treering_store::error::{Result, StoreError};

use crate::client::clients;
use crate::failure::Failure;
use crate::tries::{Call, Tries};
use crate::uploads::Uploads;
use crate::url::Place;

/// A place in a bucket.
#[derive(Debug)]
pub(crate) struct S3 {
    place: Place,
    tries: Tries,
    /// With a slash at its end, or empty.
    prefix: String,
    /// Not dropped in a child of fork: its connections belong to threads that are not there.
    client: ManuallyDrop<AmazonS3>,
    uploads: ManuallyDrop<Uploads>,
    pid: u32,
}

impl S3 {
    pub(crate) fn open(place: &Place) -> Result<Self> {
        let (client, uploads) = clients(place)?;
        Ok(Self {
            place: place.clone(),
            tries: Tries {
                url: place.url.clone(),
                timeout: place.timeout,
                give_up: place.give_up,
            },
            prefix: if place.prefix.is_empty() {
                String::new()
            } else {
                format!("{}/", place.prefix)
            },
            client: ManuallyDrop::new(client),
            uploads: ManuallyDrop::new(uploads),
            pid: std::process::id(),
        })
    }

    fn here(&self) -> Result<()> {
        if self.pid == std::process::id() {
            Ok(())
        } else {
            Err(StoreError::ForkedProcess)
        }
    }

    fn key(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.prefix))
    }

    /// Errors: a bucket that is not there. An answer without a body does not tell it from an object that is not.
    fn expect_bucket(&self, name: &str) -> Result<()> {
        let key = format!("{}{name}", self.prefix);
        let call = Call {
            action: "look for",
            object: name,
        };
        self.tries
            .must(call, async || self.page(&key, None, 1).await)
            .map(drop)
    }

    async fn page(
        &self,
        key: &str,
        page_token: Option<String>,
        max_keys: usize,
    ) -> Result<object_store::list::PaginatedListResult, Failure> {
        let options = PaginatedListOptions {
            page_token,
            max_keys: Some(max_keys),
            ..PaginatedListOptions::default()
        };
        let prefix = (!key.is_empty()).then_some(key);
        Ok(self.client.list_paginated(prefix, options).await?)
    }

    async fn give_up(&self, key: &Path, upload: &String) -> Result<(), Failure> {
        match self.client.abort_multipart(key, upload).await {
            Ok(()) => Ok(()),
            Err(error) => match Failure::from(error) {
                failure if failure.is_unknown_upload() => Ok(()),
                failure => Err(failure),
            },
        }
    }

    /// The bytes in a range that lies in the object, as far as it goes.
    async fn range(&self, key: &Path, range: Range<u64>) -> Result<Vec<u8>, Failure> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let answer = self.client.get_opts(key, options).await?;
        let length = answer.range.end.saturating_sub(answer.range.start);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        let mut pieces = answer.into_stream();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() > length {
                break;
            }
        }
        if bytes.len() != length {
            let why = format!("the answer has {} bytes and said {length}", bytes.len());
            return Err(Failure::of_transport(why));
        }
        Ok(bytes)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            // SAFETY: they are dropped here and nowhere else, and not used after.
            unsafe {
                ManuallyDrop::drop(&mut self.client);
                ManuallyDrop::drop(&mut self.uploads);
            }
        }
    }
}

impl Bucket for S3 {
    fn url(&self) -> &str {
        &self.tries.url
    }

    fn is_at(&self, url: &str) -> bool {
        Place::parse(url).is_ok_and(|place| place.is_same_place(&self.place))
    }

    fn parent(&self) -> Result<Option<Arc<dyn Bucket>>> {
        self.here()?;
        match self.place.parent() {
            Some(above) => Ok(Some(Arc::new(Self::open(&above)?))),
            None => Ok(None),
        }
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.here()?;
        let (key, bytes) = (self.key(name), Bytes::copy_from_slice(bytes));
        let call = Call {
            action: "put",
            object: name,
        };
        self.tries.must(call, async || {
            self.client
                .put(&key, PutPayload::from(bytes.clone()))
                .await?;
            Ok(())
        })
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        if self.size(name)?.is_some() {
            return Ok(false);
        }
        let (key, whole) = (self.key(name), Bytes::copy_from_slice(bytes));
        let call = Call {
            action: "create",
            object: name,
        };
        let put = |mode: PutMode| {
            let (key, whole) = (&key, whole.clone());
            async move {
                let options = PutOptions::from(mode);
                self.client
                    .put_opts(key, PutPayload::from(whole), options)
                    .await?;
                Ok(())
            }
        };
        match self.tries.run(call, || put(PutMode::Create))? {
            // Perhaps by ourselves, and the answer was lost.
            Ok(()) | Err(Failure { status: 412, .. }) => {}
            Err(Failure { status: 501, .. }) => {
                self.tries.must(call, || put(PutMode::Overwrite))?
            }
            Err(failure) => return Err(self.tries.refused(call, failure)),
        }
        let length = bytes.len() as u64;
        let there = self.read(name, 0, length.saturating_add(1))?;
        Ok(there.as_deref() == Some(bytes))
    }

    fn begin(&self, name: &str) -> Result<String> {
        self.here()?;
        let key = self.key(name);
        let call = Call {
            action: "begin to upload",
            object: name,
        };
        let again = AtomicBool::new(false);
        self.tries.must(call, async || {
            if again.swap(true, Ordering::Relaxed) {
                // Perhaps the try before began one, and only its answer was lost: nobody would know of it.
                for upload in self.uploads.of(key.as_ref()).await? {
                    self.give_up(&key, &upload).await?;
                }
            }
            Ok(self.client.create_multipart(&key).await?)
        })
    }

    fn put_part(
        &self,
        name: &str,
        upload: &str,
        number: u32,
        bytes: &[u8],
    ) -> Result<Option<String>> {
        self.here()?;
        let (key, bytes) = (self.key(name), Bytes::copy_from_slice(bytes));
        let (upload, number) = (
            upload.to_owned(),
            usize::try_from(number).unwrap_or(usize::MAX),
        );
        let call = Call {
            action: "upload a part of",
            object: name,
        };
        let answer = self.tries.run(call, async || {
            let payload = PutPayload::from(bytes.clone());
            let part = self.client.put_part(&key, &upload, number, payload).await?;
            Ok(part.content_id)
        })?;
        match answer {
            Ok(part) => Ok(Some(part)),
            Err(failure) if failure.is_unknown_upload() => Ok(None),
            Err(failure) => Err(self.tries.refused(call, failure)),
        }
    }

    fn complete(&self, name: &str, upload: &str, parts: &[String]) -> Result<bool> {
        self.here()?;
        let (key, upload) = (self.key(name), upload.to_owned());
        let call = Call {
            action: "complete",
            object: name,
        };
        let answer = self.tries.run(call, async || {
            let parts = parts
                .iter()
                .map(|part| PartId {
                    content_id: part.clone(),
                })
                .collect();
            self.client.complete_multipart(&key, &upload, parts).await?;
            Ok(())
        })?;
        match answer {
            Ok(()) => return Ok(true),
            Err(failure) if failure.is_unknown_upload() => {}
            Err(failure) => return Err(self.tries.refused(call, failure)),
        }
        // Perhaps completed before, and the answer was lost: names are used once, so what is there is this.
        let last = parts.len() as u64;
        let fits =
            |size: u64| size <= last * PART_BYTES && size > last.saturating_sub(1) * PART_BYTES;
        Ok(self.size(name)?.is_some_and(fits))
    }

    fn abort(&self, name: &str, upload: &str) -> Result<()> {
        self.here()?;
        let (key, upload) = (self.key(name), upload.to_owned());
        let call = Call {
            action: "give up the upload of",
            object: name,
        };
        self.tries
            .must(call, async || self.give_up(&key, &upload).await)
    }

    fn uploads(&self, name: &str) -> Result<Vec<String>> {
        self.here()?;
        let key = format!("{}{name}", self.prefix);
        let call = Call {
            action: "list uploads of",
            object: name,
        };
        self.tries.must(call, async || self.uploads.of(&key).await)
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        self.here()?;
        let key = self.key(name);
        let call = Call {
            action: "look for",
            object: name,
        };
        match self
            .tries
            .run(call, async || Ok(self.client.head(&key).await?.size))?
        {
            Ok(size) => Ok(Some(size)),
            Err(failure) if failure.is_absence() => self.expect_bucket(name).map(|()| None),
            Err(failure) => Err(self.tries.refused(call, failure)),
        }
    }

    fn read(&self, name: &str, offset: u64, length: u64) -> Result<Option<Vec<u8>>> {
        self.here()?;
        if length == 0 {
            return Ok(self.size(name)?.map(|_| Vec::new()));
        }
        let (key, end) = (self.key(name), offset.saturating_add(length));
        let call = Call {
            action: "read",
            object: name,
        };
        match self
            .tries
            .run(call, async || self.range(&key, offset..end).await)?
        {
            Ok(bytes) => Ok(Some(bytes)),
            Err(failure) if failure.is_absence() => self.expect_bucket(name).map(|()| None),
            // It ends before the range begins.
            Err(Failure { status: 416, .. }) => Ok(self.size(name)?.map(|_| Vec::new())),
            Err(failure) => Err(self.tries.refused(call, failure)),
        }
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(Object) -> Result<()>) -> Result<()> {
        self.here()?;
        let key = format!("{}{prefix}", self.prefix);
        let call = Call {
            action: "list",
            object: prefix,
        };
        let mut token = None;
        loop {
            let page = self
                .tries
                .must(call, async || self.page(&key, token.clone(), 1000).await)?;
            for found in page.result.objects {
                let Some(name) = found.location.as_ref().strip_prefix(&self.prefix) else {
                    continue;
                };
                each(Object {
                    name: name.to_owned(),
                    size: found.size,
                    written_ms: found.last_modified.timestamp_millis(),
                })?;
            }
            if page.page_token.is_none() || page.page_token == token {
                return Ok(());
            }
            token = page.page_token;
        }
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.here()?;
        let key = self.key(name);
        let call = Call {
            action: "remove",
            object: name,
        };
        match self
            .tries
            .run(call, async || Ok(self.client.delete(&key).await?))?
        {
            Err(failure) if !failure.is_absence() => Err(self.tries.refused(call, failure)),
            _ => Ok(()),
        }
    }
}
