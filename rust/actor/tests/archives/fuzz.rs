//! Files of whole scopes that somebody made to break an import: taken as a whole, or nothing of them is.
//!
//! A changed byte in a block is found by its hash at once, so the first byte of an input may ask for all names to be set
//! right after the change: what the file says is then wrong and its hashes are not.

use treering_fuzz::Fuzz;

use super::*;
use crate::mend::mended;

fn file_of(input: &[u8]) -> Vec<u8> {
    let (first, file) = input.split_first().unwrap_or((&0, &[]));
    match first & 1 {
        1 => mended(file),
        _ => file.to_vec(),
    }
}

#[test]
fn fuzz_scope_archives() {
    let file = exported(&small()).1;
    let few = {
        let store = fresh();
        remember(&stores(&store, "alice"), "one");
        exported(&store).1
    };
    let seeds = [file, few].into_iter().flat_map(|file| {
        let with = |first: u8| [&[first], file.as_slice()].concat();
        [with(0), with(1)]
    });
    Fuzz::new("fuzz_scope_archives")
        .seeds(seeds)
        .tokens(&[
            b"\x64form\x01",
            b"\x64form\x02",
            b"\x64form\x03",
            b"\x64refs",
            b"\x65parts",
            b"\x66record",
            b"\x66target",
            b"\x6buser-memory",
            b"\x6buser-config",
            b"\xd8\x2a\x58\x25\x00",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        ])
        .cases(2_000)
        .run(
            |input| {
                let store = fresh();
                match imported(&store, "alice", &file_of(input)) {
                    Ok(report) => Ok((store, report)),
                    Err(error) => {
                        assert_eq!(state(&store), (0, 0, 0, 0, 0), "{error}");
                        Err(error)
                    }
                }
            },
            |input, answer| {
                let Ok((store, _)) = answer else {
                    return;
                };
                let store = &store;
                assert_sound(store, "alice");
                // Once more writes nothing.
                let before = state(store);
                imported(store, "alice", &file_of(input)).unwrap();
                assert_eq!(state(store), before);
                // And what comes out of here can be taken elsewhere.
                let (out, elsewhere) = (exported(store).1, fresh());
                imported(&elsewhere, "alice", &out).unwrap();
                assert_eq!(exported(&elsewhere).1, out);
            },
        );
}
