//! A writer of canonical DAG-CBOR that collects links, depth and size as it goes.
//!
//! Promises: what [`Writer::finish`] gives is one valid, canonical value; every call that would
//! break that is refused, map keys out of order included, so that an [`Encoded`] is proof enough.
//! Never: it does not sort keys for the caller ([`super::canonical_key_order`] does) and reserves no
//! memory for what a head announces.

use super::{
    ARRAY, BYTES, Encoded, LINK_TAG, LinkSet, MAP, NINT, SIMPLE, TAG, TEXT, UINT,
    canonical_byte_order,
};
use crate::error::{CodecError, LimitKind, clip};
use crate::limits::Limits;
use crate::{AnyCid, Cid};
use std::cmp::Ordering;
use std::ops::Range;

/// An open container.
#[derive(Debug)]
struct Frame {
    /// Items that are still to come; a map has two an entry, so a key is due when this is even.
    left: u64,
    is_map: bool,
    /// Where the last key stands in the output.
    last_key: Option<Range<usize>>,
}

/// Writes one value.
///
/// ```
/// # use treering_block::{Writer, CodecError};
/// let mut writer = Writer::new();
/// writer.map(2)?;
/// writer.key("ok")?;
/// writer.bool(true)?;
/// writer.key("count")?;
/// writer.int(3)?;
/// assert_eq!(writer.finish()?.bytes(), b"\xa2\x62ok\xf5\x65count\x03");
/// # Ok::<(), CodecError>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    frames: Vec<Frame>,
    started: bool,
    links: LinkSet,
    depth_seen: usize,
    limits: Limits,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A writer with the codec's own limits.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::CODEC)
    }

    /// A writer that stops at `limits`, so that a too large object costs no more than that.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self {
            out: Vec::with_capacity(256),
            frames: Vec::new(),
            started: false,
            links: LinkSet::default(),
            depth_seen: 0,
            limits,
        }
    }

    /// null
    ///
    /// # Errors
    /// As every method here: [`CodecError::Limit`]; [`CodecError::Misuse`] where no value is due.
    pub fn null(&mut self) -> Result<(), CodecError> {
        self.scalar(&[SIMPLE << 5 | 22])
    }

    /// false or true
    ///
    /// # Errors
    /// As for [`Writer::null`].
    pub fn bool(&mut self, value: bool) -> Result<(), CodecError> {
        self.scalar(&[SIMPLE << 5 | if value { 21 } else { 20 }])
    }

    /// An integer.
    ///
    /// # Errors
    /// [`CodecError::IntRange`] outside −2⁶⁴ … 2⁶⁴−1; else as for [`Writer::null`].
    pub fn int(&mut self, value: i128) -> Result<(), CodecError> {
        if let Ok(value) = u64::try_from(value) {
            return self.u64(value);
        }
        match u64::try_from(-1 - value) {
            Ok(n) => self.integer(NINT, n),
            Err(_) => Err(CodecError::IntRange {
                value: value.to_string(),
            }),
        }
    }

    /// An integer from 0 up.
    ///
    /// # Errors
    /// As for [`Writer::null`].
    #[inline]
    pub fn u64(&mut self, value: u64) -> Result<(), CodecError> {
        self.integer(UINT, value)
    }

    /// An integer.
    ///
    /// # Errors
    /// As for [`Writer::null`].
    #[inline]
    pub fn i64(&mut self, value: i64) -> Result<(), CodecError> {
        // For a negative n, −1 − n is the complement of its bits.
        if value >= 0 {
            self.integer(UINT, value as u64)
        } else {
            self.integer(NINT, !value as u64)
        }
    }

    /// A float, always in 64 bits; −0.0 stays what it is.
    ///
    /// # Errors
    /// [`CodecError::NotFinite`] for NaN and the infinities; else as for [`Writer::null`].
    pub fn float(&mut self, value: f64) -> Result<(), CodecError> {
        if !value.is_finite() {
            return Err(CodecError::NotFinite { value });
        }
        let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
        self.scalar(&[SIMPLE << 5 | 27, a, b, c, d, e, f, g, h])
    }

    /// A text.
    ///
    /// # Errors
    /// As for [`Writer::null`].
    #[inline]
    pub fn str(&mut self, value: &str) -> Result<(), CodecError> {
        self.chunk(TEXT, value.as_bytes())
    }

    /// A byte string; bytes that look like a CID stay bytes.
    ///
    /// # Errors
    /// As for [`Writer::null`].
    #[inline]
    pub fn bytes(&mut self, value: &[u8]) -> Result<(), CodecError> {
        self.chunk(BYTES, value)
    }

    /// A link to any CID.
    ///
    /// # Errors
    /// As for [`Writer::null`].
    pub fn link(&mut self, cid: &AnyCid) -> Result<(), CodecError> {
        self.link_bytes(&cid.to_bytes(), *cid)
    }

    /// A link to a CID of ours.
    ///
    /// # Errors
    /// As for [`Writer::null`].
    pub fn link_ours(&mut self, cid: &Cid) -> Result<(), CodecError> {
        self.link_bytes(&cid.to_bytes(), (*cid).into())
    }

    /// The head of a list; exactly `length` values must follow.
    ///
    /// # Errors
    /// As for [`Writer::null`].
    pub fn array(&mut self, length: usize) -> Result<(), CodecError> {
        self.open(ARRAY, length, length as u64)
    }

    /// The head of a map; exactly `length` times [`Writer::key`] and a value must follow.
    ///
    /// # Errors
    /// As for [`Writer::null`].
    pub fn map(&mut self, length: usize) -> Result<(), CodecError> {
        self.open(MAP, length, (length as u64).saturating_mul(2))
    }

    /// A map's next key.
    ///
    /// # Errors
    /// [`CodecError::KeyOrder`] and [`CodecError::KeyTwice`] against the key before;
    /// [`CodecError::Misuse`] where no key is due; [`CodecError::Limit`].
    pub fn key(&mut self, key: &str) -> Result<(), CodecError> {
        let offset = self.out.len();
        let Some(frame) = self
            .frames
            .last_mut()
            .filter(|frame| frame.is_map && frame.left % 2 == 0)
        else {
            return Err(CodecError::Misuse("no key is due here"));
        };
        let last = frame.last_key.clone().and_then(|range| self.out.get(range));
        match last.map(|last| canonical_byte_order(last, key.as_bytes())) {
            None | Some(Ordering::Less) => {}
            Some(Ordering::Equal) => {
                return Err(CodecError::KeyTwice {
                    offset,
                    key: clip(key),
                });
            }
            Some(Ordering::Greater) => {
                return Err(CodecError::KeyOrder {
                    offset,
                    key: clip(key),
                });
            }
        }
        frame.left -= 1;
        self.admit(key.len())?;
        self.head(TEXT, key.len() as u64);
        let start = self.out.len();
        self.out.extend_from_slice(key.as_bytes());
        let range = start..self.out.len();
        if let Some(frame) = self.frames.last_mut() {
            frame.last_key = Some(range);
        }
        Ok(())
    }

    /// A value that is encoded already; its links and depth count as if written here.
    ///
    /// # Errors
    /// As for [`Writer::null`].
    pub fn raw(&mut self, value: &Encoded) -> Result<(), CodecError> {
        self.due()?;
        self.see_depth(self.frames.len() + value.depth())?;
        self.admit(value.bytes().len())?;
        for link in value.links() {
            self.see_link(*link)?;
        }
        self.out.extend_from_slice(value.bytes());
        self.count_item();
        Ok(())
    }

    /// The value, once it is complete.
    ///
    /// # Errors
    /// [`CodecError::Misuse`] if nothing or not all that was announced has been written.
    pub fn finish(self) -> Result<Encoded, CodecError> {
        if !self.started || !self.frames.is_empty() {
            return Err(CodecError::Misuse("the value is not complete"));
        }
        self.admit(0)?;
        Ok(Encoded::proven(
            self.out,
            self.links.into_vec(),
            self.depth_seen,
        ))
    }

    #[inline]
    fn scalar(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        self.due()?;
        self.out.extend_from_slice(bytes);
        self.count_item();
        Ok(())
    }

    #[inline]
    fn integer(&mut self, major: u8, argument: u64) -> Result<(), CodecError> {
        self.due()?;
        self.head(major, argument);
        self.count_item();
        Ok(())
    }

    #[inline]
    fn chunk(&mut self, major: u8, content: &[u8]) -> Result<(), CodecError> {
        self.due()?;
        self.admit(content.len())?;
        self.head(major, content.len() as u64);
        self.out.extend_from_slice(content);
        self.count_item();
        Ok(())
    }

    fn link_bytes(&mut self, bytes: &[u8], cid: AnyCid) -> Result<(), CodecError> {
        self.due()?;
        self.admit(bytes.len())?;
        self.see_link(cid)?;
        self.head(TAG, LINK_TAG);
        self.head(BYTES, bytes.len() as u64 + 1);
        self.out.push(0);
        self.out.extend_from_slice(bytes);
        self.count_item();
        Ok(())
    }

    fn open(&mut self, major: u8, length: usize, items: u64) -> Result<(), CodecError> {
        self.due()?;
        self.see_depth(self.frames.len() + 1)?;
        self.head(major, length as u64);
        if items == 0 {
            self.count_item();
            return Ok(());
        }
        match self.frames.last_mut() {
            Some(parent) => parent.left -= 1,
            None => self.started = true,
        }
        self.frames.push(Frame {
            left: items,
            is_map: major == MAP,
            last_key: None,
        });
        Ok(())
    }

    /// Checks that a value, and not a key or nothing, is due.
    #[inline]
    fn due(&mut self) -> Result<(), CodecError> {
        match self.frames.last() {
            Some(frame) if frame.is_map && frame.left % 2 == 0 => {
                Err(CodecError::Misuse("a key is due here"))
            }
            None if self.started => Err(CodecError::Misuse("the value is complete")),
            _ => self.admit(0),
        }
    }

    /// Checks that `more` bytes may follow. Heads are let through and found at the next call, so
    /// a value of exactly the limit passes and one over it ends a few bytes later.
    #[inline]
    fn admit(&self, more: usize) -> Result<(), CodecError> {
        let bytes = self.out.len().saturating_add(more);
        if bytes > self.limits.bytes_max {
            return Err(limit(LimitKind::Bytes, self.limits.bytes_max, bytes));
        }
        Ok(())
    }

    fn see_depth(&mut self, depth: usize) -> Result<(), CodecError> {
        if depth > self.limits.depth_max {
            return Err(limit(LimitKind::Depth, self.limits.depth_max, depth));
        }
        self.depth_seen = self.depth_seen.max(depth);
        Ok(())
    }

    fn see_link(&mut self, link: AnyCid) -> Result<(), CodecError> {
        self.links.insert(link);
        if self.links.len() > self.limits.links_max {
            return Err(limit(
                LimitKind::Links,
                self.limits.links_max,
                self.links.len(),
            ));
        }
        Ok(())
    }

    /// A head in its shortest form.
    #[inline]
    fn head(&mut self, major: u8, argument: u64) {
        let major = major << 5;
        let [.., e, f, g, h] = argument.to_be_bytes();
        match argument {
            0..=23 => self.out.push(major | h),
            24..=0xff => self.out.extend_from_slice(&[major | 24, h]),
            0x100..=0xffff => self.out.extend_from_slice(&[major | 25, g, h]),
            0x1_0000..=0xffff_ffff => self.out.extend_from_slice(&[major | 26, e, f, g, h]),
            _ => {
                self.out.push(major | 27);
                self.out.extend_from_slice(&argument.to_be_bytes());
            }
        }
    }

    /// One value is written: closes the containers whose last item it was.
    #[inline]
    fn count_item(&mut self) {
        let Some(frame) = self.frames.last_mut() else {
            self.started = true;
            return;
        };
        frame.left -= 1;
        while self.frames.last().is_some_and(|frame| frame.left == 0) {
            self.frames.pop();
        }
    }
}

fn limit(what: LimitKind, limit: usize, actual: usize) -> CodecError {
    CodecError::Limit {
        what,
        limit: limit as u64,
        actual: actual as u64,
    }
}
