//! DAG-JSON of values as tests have them.
#![allow(missing_docs, dead_code)] // Each test binary uses its part.

use treering_block::{CodecError, Encoded, Ipld};

pub fn encode(value: &Ipld) -> Result<String, CodecError> {
    treering_block::dag_json::encode(&Encoded::from_ipld(value)?)
}

pub fn decode(text: &str) -> Result<Ipld, CodecError> {
    treering_block::dag_json::decode(text)?.to_ipld()
}
