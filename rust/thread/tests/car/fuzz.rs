//! Files that somebody made to break an import: taken as a whole, or nothing of them is.
//!
//! A changed byte in a block is found by its hash at once, so the first byte of an input may ask for all
//! names to be set right after the change: what the file says is then wrong and its hashes are not.

use treering_fuzz::Fuzz;

use super::*;
use crate::mend::mended;
use crate::travel::full;

fn files() -> Vec<Vec<u8>> {
    let many = fresh();
    full(&many);
    let one = fresh();
    let thread = begun(&one, "k");
    say(&thread, "planner", "plan");
    thread
        .append(commanded("c", "done"))
        .unwrap()
        .wait()
        .unwrap();
    thread
        .fork(treering_thread::ForkAt::Step(1), Default::default())
        .unwrap()
        .wait()
        .unwrap();
    let small = exported(&one, None).1;
    let file = exported(&many, None).1;
    let mut seeds = Vec::new();
    for file in [small, file]
        .into_iter()
        .filter(|file| file.len() < 1 << 16)
    {
        for first in [0, 1] {
            seeds.push([&[first], file.as_slice()].concat());
        }
    }
    seeds
}

#[test]
fn fuzz_car_files() {
    Fuzz::new("fuzz_car_files")
        .seeds(files())
        .tokens(&[
            b"\x67version\x01",
            b"\x67version\x02",
            b"\x65roots",
            b"\xd8\x2a\x58\x25\x00",
            b"\x01\x55\x00\x00",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"\x66record",
            b"\x64head",
        ])
        .cases(3_000)
        .run(
            |input| {
                let (first, file) = input.split_first().unwrap_or((&0, &[]));
                let threads = fresh();
                let answer = if first & 1 == 1 {
                    imported(&threads, &mended(file))
                } else {
                    imported(&threads, file)
                };
                match answer {
                    Ok(report) => Ok((threads, report)),
                    Err(error) => {
                        assert_eq!(state(&threads), (0, 0, 0, 0, 0), "{error}");
                        Err(error)
                    }
                }
            },
            |input, answer| {
                let Ok((threads, report)) = answer else {
                    return;
                };
                assert_sound(&threads);
                let listed = threads.list(&Default::default()).unwrap();
                assert_eq!(listed.len(), report.threads.len());
                // Once more writes nothing.
                let before = state(&threads);
                let (first, file) = input.split_first().unwrap();
                let file = if first & 1 == 1 {
                    mended(file)
                } else {
                    file.to_vec()
                };
                let again = imported(&threads, &file).unwrap();
                assert_eq!((again.threads.len(), again.new_blocks), (0, 0));
                assert_eq!(state(&threads), before);
                // And what comes out of here can be taken elsewhere.
                let out = exported(&threads, None).1;
                let elsewhere = fresh();
                imported(&elsewhere, &out).unwrap();
                assert_eq!(everything(&elsewhere), everything(&threads));
            },
        );
}
