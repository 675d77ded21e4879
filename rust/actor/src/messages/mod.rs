//! The messages of the stores: events, states and their parts, as `proto/treering/v1` defines them.
//!
//! Promises: one value has one form in bytes (fields in the order of their numbers, defaults left out, maps sorted), so
//! that one state has one CID; the type of an event is its message's full name, `treering.v1.UserConfigSaved`, which
//! [`Name::full_name`] gives.
//! Never: bytes that were read are written back from a struct. prost drops fields that it doesn't know, so what a later
//! version wrote would lose them; who meets a schema number above its own reads and verifies, and does not write.
//! [`is_whole`] tells whether anything was dropped. A CID never stands inside message bytes: a [`Link`] is a place in
//! the list of links of the node.
//!
//! `generated.rs` is written by `make gen`; edit the `.proto` files instead.

mod generated;

pub use generated::*;
// Under another name: a message of a conversation is a `Message` too.
pub use prost::Message as Encoding;
pub use prost::{DecodeError, Name};

/// Whether `message` holds all that stands in the `bytes` it was decoded from; false where a later version wrote fields
/// that this one doesn't know, and where the bytes are not the one form that we write.
pub fn is_whole<M: Encoding>(message: &M, bytes: &[u8]) -> bool {
    message.encoded_len() == bytes.len() && message.encode_to_vec() == bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> UserConfigSaved {
        UserConfigSaved {
            config: Some(UserConfig {
                default_model: "large".to_owned(),
                max_tool_rounds: 7,
                ..UserConfig::default()
            }),
        }
    }

    #[test]
    fn a_message_has_its_full_name_and_one_form() {
        assert_eq!(UserConfigSaved::full_name(), "treering.v1.UserConfigSaved");
        let bytes = event().encode_to_vec();
        assert_eq!(
            bytes, b"\x0a\x09\x0a\x05large\x30\x07",
            "fields in order, defaults left out"
        );
        assert_eq!(UserConfigSaved::decode(&bytes[..]), Ok(event()));
    }

    #[test]
    fn a_field_of_a_later_version_is_dropped_and_that_is_seen() -> Result<(), DecodeError> {
        let bytes = event().encode_to_vec();
        assert!(is_whole(&UserConfigSaved::decode(&bytes[..])?, &bytes));
        // Field 1000, a number, behind the others; and inside the part.
        let later = [&bytes[..], b"\xc0\x3e\x01"].concat();
        let inside = b"\x0a\x0c\x0a\x05large\x30\x07\xc0\x3e\x01".to_vec();
        for bytes in [later, inside] {
            let read = UserConfigSaved::decode(&bytes[..])?;
            assert_eq!(read, event(), "what is known is read");
            assert!(!is_whole(&read, &bytes));
        }
        Ok(())
    }

    #[test]
    fn another_form_of_the_same_value_is_not_ours() -> Result<(), DecodeError> {
        // The default written out, and a number in more bytes than it needs.
        for bytes in [&b"\x30\x00"[..], b"\x30\x87\x00"] {
            assert!(!is_whole(&UserConfig::decode(bytes)?, bytes));
        }
        Ok(())
    }
}
