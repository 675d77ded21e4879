//! Lengths: unsigned LEB128 in its shortest form, at most 63 bits.

use super::fault::CarFault;

/// Bytes of a length: what the specification allows.
pub(super) const VARINT_BYTES_MAX: usize = 9;

/// A length as it is read, byte by byte.
#[derive(Debug, Default)]
pub struct Varint {
    value: u64,
    bytes: usize,
}

impl Varint {
    /// Takes the next byte; the number, if that was the last one.
    ///
    /// # Errors
    /// [`CarFault::Varint`].
    pub fn push(&mut self, byte: u8) -> Result<Option<u64>, CarFault> {
        if self.bytes == VARINT_BYTES_MAX {
            return Err(CarFault::Varint {
                reason: "it is longer than 9 bytes",
            });
        }
        self.value |= u64::from(byte & 0x7f) << (7 * self.bytes);
        self.bytes += 1;
        if byte & 0x80 != 0 {
            return Ok(None);
        }
        if byte == 0 && self.bytes > 1 {
            return Err(CarFault::Varint {
                reason: "it is not in its shortest form",
            });
        }
        Ok(Some(self.value))
    }

    /// How many bytes were taken.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Appends a length.
pub fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        // The seven lowest bits, which fit.
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// The first length of `bytes`, and how many bytes it has.
#[cfg(test)]
pub(super) fn read_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, CarFault> {
    let mut varint = Varint::default();
    for byte in bytes {
        if let Some(value) = varint.push(*byte)? {
            return Ok(Some((value, varint.bytes())));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_as_the_specification_gives_them() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (1, &[0x01]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (255, &[0xff, 0x01]),
            (300, &[0xac, 0x02]),
            (16384, &[0x80, 0x80, 0x01]),
            (
                (1 << 63) - 1,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            ),
        ] {
            let mut written = Vec::new();
            write_varint(value, &mut written);
            assert_eq!(written, bytes);
            assert_eq!(read_varint(bytes), Ok(Some((value, bytes.len()))));
        }
        for bad in [&[0x80, 0x00][..], &[0x81, 0x80, 0x00], &[0xff; 10]] {
            assert!(matches!(read_varint(bad), Err(CarFault::Varint { .. })));
        }
        assert_eq!(read_varint(&[0x80]), Ok(None));
    }
}
