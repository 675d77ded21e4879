//! A strict pull reader of DAG-CBOR.
//!
//! Promises: every event was checked to the letter of the specification; text and bytes are slices
//! of the input, nothing is copied; the items that all open containers still announce never exceed
//! the bytes that are left, so a caller may reserve memory for what a head announces.
//! Never: it does not recurse, and it does not accept what the writer would not write.

use super::{
    ARRAY, BYTES, LINK_TAG, LinkRef, MAP, NINT, SIMPLE, TAG, TEXT, UINT, canonical_key_order,
};
use crate::error::{CodecError, LimitKind, clip};
use crate::limits::Limits;
use std::cmp::Ordering;

/// One step of the reader.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// null
    Null,
    /// false or true
    Bool(bool),
    /// An integer from 0 up.
    Uint(u64),
    /// The integer −1 − n.
    Nint(u64),
    /// A finite float.
    Float(f64),
    /// A text.
    Str(&'a str),
    /// A byte string.
    Bytes(&'a [u8]),
    /// A link.
    Link(LinkRef<'a>),
    /// The head of a list of so many values, which follow.
    Array(usize),
    /// The head of a map of so many entries; a [`Event::Key`] and a value follow for each.
    Map(usize),
    /// A map's next key; keys come in canonical order, each once.
    Key(&'a str),
}

impl Event<'_> {
    /// The integer of [`Event::Uint`] and [`Event::Nint`].
    #[must_use]
    pub fn int(&self) -> Option<i128> {
        match *self {
            Self::Uint(n) => Some(i128::from(n)),
            Self::Nint(n) => Some(-1 - i128::from(n)),
            _ => None,
        }
    }
}

/// An open container.
#[derive(Debug)]
struct Frame<'a> {
    /// Items that are still to come; a map has two an entry, so a key is due when this is even.
    left: u64,
    is_map: bool,
    last_key: Option<&'a str>,
}

/// Reads one value, event by event.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Items that must still come, over all open containers and the value itself.
    owed: u64,
    frames: Vec<Frame<'a>>,
    depth_max: usize,
    depth_seen: usize,
}

impl<'a> Reader<'a> {
    /// A reader with the codec's own limits.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            owed: 1,
            frames: Vec::new(),
            depth_max: Limits::CODEC.depth_max,
            depth_seen: 0,
        }
    }

    /// A reader under `limits`; the number of links is the caller's to count.
    ///
    /// # Errors
    /// [`CodecError::Limit`] if there are too many bytes.
    pub fn with_limits(bytes: &'a [u8], limits: Limits) -> Result<Self, CodecError> {
        if bytes.len() > limits.bytes_max {
            return Err(CodecError::Limit {
                what: LimitKind::Bytes,
                limit: limits.bytes_max as u64,
                actual: bytes.len() as u64,
            });
        }
        Ok(Self {
            depth_max: limits.depth_max,
            ..Self::new(bytes)
        })
    }

    /// The next event.
    ///
    /// # Errors
    /// What is not strict DAG-CBOR, with its offset; [`CodecError::Misuse`] after the value's end.
    // Not an iterator: an error ends the reading, and the caller asks for exactly what is announced.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Result<Event<'a>, CodecError> {
        if self.key_due() {
            return self.key().map(Event::Key);
        }
        if self.owed == 0 {
            return Err(CodecError::Misuse("the value is at its end"));
        }
        let offset = self.position;
        let initial = self.take_byte(offset)?;
        let (major, info) = (initial >> 5, initial & 0x1f);
        if major == SIMPLE {
            let event = self.simple(info, offset)?;
            self.count_item();
            return Ok(event);
        }
        let argument = self.argument(info, offset)?;
        let event = match major {
            UINT => Event::Uint(argument),
            NINT => Event::Nint(argument),
            BYTES => Event::Bytes(self.take(argument, offset)?),
            TEXT => Event::Str(self.take_text(argument, offset)?),
            ARRAY => return self.open(argument, false, offset).map(Event::Array),
            MAP => return self.open(argument, true, offset).map(Event::Map),
            TAG if argument == LINK_TAG => Event::Link(self.link(offset)?),
            _ => {
                return Err(CodecError::Tag {
                    offset,
                    tag: argument,
                });
            }
        };
        self.count_item();
        Ok(event)
    }

    /// The next key of the map that is being read.
    ///
    /// # Errors
    /// As for [`Reader::next`]; [`CodecError::Misuse`] where no key is due.
    #[inline]
    pub fn key(&mut self) -> Result<&'a str, CodecError> {
        if !self.key_due() {
            return Err(CodecError::Misuse("no key is due here"));
        }
        let offset = self.position;
        let initial = self.take_byte(offset)?;
        if initial >> 5 != TEXT {
            return Err(CodecError::KeyNotText { offset });
        }
        let length = self.argument(initial & 0x1f, offset)?;
        let key = self.take_text(length, offset)?;
        if let Some(frame) = self.frames.last_mut() {
            match frame.last_key.map(|last| canonical_key_order(last, key)) {
                None | Some(Ordering::Less) => frame.last_key = Some(key),
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
            self.owed -= 1;
        }
        Ok(key)
    }

    /// Reads the next value whole, handing each event to `see`; returns the value's bytes.
    ///
    /// # Errors
    /// As for [`Reader::next`], and what `see` returns.
    pub fn value<E: From<CodecError>>(
        &mut self,
        mut see: impl FnMut(Event<'a>) -> Result<(), E>,
    ) -> Result<&'a [u8], E> {
        if self.key_due() {
            return Err(CodecError::Misuse("a key is due here").into());
        }
        let (start, open) = (self.position, self.frames.len());
        loop {
            see(self.next()?)?;
            // A container of this value keeps a frame above `open` until its last item is read; if
            // the value was its own container's last item, that frame has closed with it.
            if self.frames.len() <= open {
                break;
            }
        }
        Ok(self.bytes.get(start..self.position).unwrap_or_default())
    }

    /// Checks the next value and returns its bytes.
    ///
    /// # Errors
    /// As for [`Reader::next`].
    pub fn skip_value(&mut self) -> Result<&'a [u8], CodecError> {
        self.value(|_| Ok(()))
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// The depth of what was read so far: 0 for a scalar, 1 for a flat list or map.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.depth_seen
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`CodecError::Trailing`] if bytes follow, [`CodecError::Misuse`] if the value is not read.
    pub fn finish(self) -> Result<(), CodecError> {
        if self.owed != 0 {
            return Err(CodecError::Misuse("the value was not read to its end"));
        }
        match self.bytes.len() - self.position {
            0 => Ok(()),
            count => Err(CodecError::Trailing {
                offset: self.position,
                count,
            }),
        }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    #[inline]
    fn key_due(&self) -> bool {
        self.frames
            .last()
            .is_some_and(|frame| frame.is_map && frame.left % 2 == 0)
    }

    #[inline]
    fn take_byte(&mut self, head: usize) -> Result<u8, CodecError> {
        match self.bytes.get(self.position) {
            Some(&byte) => {
                self.position += 1;
                Ok(byte)
            }
            None => Err(CodecError::Truncated {
                offset: head,
                needed: 1,
                left: 0,
            }),
        }
    }

    #[inline]
    fn take(&mut self, length: u64, head: usize) -> Result<&'a [u8], CodecError> {
        let left = self.left();
        let slice = usize::try_from(length)
            .ok()
            .filter(|&length| length <= left)
            .and_then(|length| self.bytes.get(self.position..self.position + length));
        match slice {
            Some(slice) => {
                self.position += slice.len();
                Ok(slice)
            }
            None => Err(CodecError::Truncated {
                offset: head,
                needed: length,
                left: left as u64,
            }),
        }
    }

    fn take_array<const N: usize>(&mut self, head: usize) -> Result<[u8; N], CodecError> {
        let left = self.left() as u64;
        let truncated = CodecError::Truncated {
            offset: head,
            needed: N as u64,
            left,
        };
        self.take(N as u64, head)?.try_into().map_err(|_| truncated)
    }

    #[inline]
    fn take_text(&mut self, length: u64, head: usize) -> Result<&'a str, CodecError> {
        let bytes = self.take(length, head)?;
        std::str::from_utf8(bytes).map_err(|error| CodecError::Utf8 {
            offset: self.position - bytes.len() + error.valid_up_to(),
        })
    }

    /// The number of a head, which must stand in its shortest form.
    #[inline]
    fn argument(&mut self, info: u8, head: usize) -> Result<u64, CodecError> {
        let (argument, shortest_from) = match info {
            0..=23 => return Ok(u64::from(info)),
            24 => (u64::from(self.take_byte(head)?), 24),
            25 => (
                u64::from(u16::from_be_bytes(self.take_array(head)?)),
                1 << 8,
            ),
            26 => (
                u64::from(u32::from_be_bytes(self.take_array(head)?)),
                1 << 16,
            ),
            27 => (u64::from_be_bytes(self.take_array(head)?), 1 << 32),
            31 => return Err(CodecError::Indefinite { offset: head }),
            _ => return Err(CodecError::Reserved { offset: head }),
        };
        if argument < shortest_from {
            return Err(CodecError::NotShortest { offset: head });
        }
        Ok(argument)
    }

    fn simple(&mut self, info: u8, offset: usize) -> Result<Event<'a>, CodecError> {
        match info {
            20 => Ok(Event::Bool(false)),
            21 => Ok(Event::Bool(true)),
            22 => Ok(Event::Null),
            24 => Err(CodecError::Simple {
                offset,
                value: self.take_byte(offset)?,
            }),
            25 => Err(CodecError::FloatWidth { offset, bits: 16 }),
            26 => Err(CodecError::FloatWidth { offset, bits: 32 }),
            27 => {
                let float = f64::from_be_bytes(self.take_array(offset)?);
                if float.is_finite() {
                    Ok(Event::Float(float))
                } else {
                    Err(CodecError::FloatNotFinite { offset })
                }
            }
            28..=30 => Err(CodecError::Reserved { offset }),
            31 => Err(CodecError::Indefinite { offset }),
            _ => Err(CodecError::Simple {
                offset,
                value: info,
            }),
        }
    }

    fn link(&mut self, offset: usize) -> Result<LinkRef<'a>, CodecError> {
        let initial = self.take_byte(offset)?;
        if initial >> 5 != BYTES {
            return Err(CodecError::Link {
                offset,
                reason: "tag 42 is not on a byte string",
            });
        }
        let length = self.argument(initial & 0x1f, offset)?;
        LinkRef::parse(self.take(length, offset)?, offset)
    }

    /// Opens a container; an empty one is an item and no more.
    fn open(&mut self, length: u64, is_map: bool, offset: usize) -> Result<usize, CodecError> {
        let items = if is_map {
            length.saturating_mul(2)
        } else {
            length
        };
        // Every item takes at least a byte. What the outer containers still announce is counted
        // too, or a few nested heads could each claim all that is left.
        let owed = self.owed - 1;
        let left = self.left() as u64;
        if items.saturating_add(owed) > left {
            return Err(CodecError::Truncated {
                offset,
                needed: items.saturating_add(owed),
                left,
            });
        }
        let depth = self.frames.len() + 1;
        if depth > self.depth_max {
            return Err(CodecError::Limit {
                what: LimitKind::Depth,
                limit: self.depth_max as u64,
                actual: depth as u64,
            });
        }
        self.depth_seen = self.depth_seen.max(depth);
        if items == 0 {
            self.count_item();
        } else {
            if let Some(parent) = self.frames.last_mut() {
                parent.left -= 1;
            }
            self.owed = owed + items;
            self.frames.push(Frame {
                left: items,
                is_map,
                last_key: None,
            });
        }
        // Not more than the bytes that are left, so it fits.
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// One value is read: closes the containers whose last item it was.
    #[inline]
    fn count_item(&mut self) {
        self.owed -= 1;
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        frame.left -= 1;
        while self.frames.last().is_some_and(|frame| frame.left == 0) {
            self.frames.pop();
        }
    }
}
