"""DAG-CBOR and DAG-JSON: values to bytes and back, and the links in a value.

Strict both ways, to the letter of the specifications: one value has one encoding. A value is None,
bool, int (−2⁶⁴ … 2⁶⁴−1), float (finite), str, bytes, `Cid` (a link), or a list or a dict with str
keys of values. Bytes that look like a CID stay bytes. A `treering.Vector` or `Map` is written as the link to
its root.

Source: https://ipld.io/specs/codecs/dag-cbor/spec/ and https://ipld.io/specs/codecs/dag-json/spec/
"""

from treering._core import collect_links, decode, encode, from_dag_json, to_dag_json

__all__ = ["collect_links", "decode", "encode", "from_dag_json", "to_dag_json"]
