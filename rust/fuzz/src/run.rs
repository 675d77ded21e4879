//! One fuzzed function: how long it runs, what it must keep, and what a failure says.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, panic, process};

use crate::corpus::Corpus;
use crate::random::Random;
use crate::{hex, metered};

/// Seconds for each function, instead of its number of cases.
const SECONDS: &str = "TREERING_FUZZ_SECONDS";
/// The run's seed; without it a fixed one, and with seconds one that the clock gives.
const SEED: &str = "TREERING_FUZZ_SEED";
/// One input in hex, or `@` and the path of a file with hex in it: only that runs.
const INPUT: &str = "TREERING_FUZZ_INPUT";
/// A folder: each input is written there before it runs, for what ends the process (stack, memory, a loop).
const TRACE: &str = "TREERING_FUZZ_TRACE";

/// Inputs that are longer go into a file instead of the message.
const SHOWN_BYTES_MAX: usize = 2048;

/// Bytes that reading an input of so many bytes may hold: 1 MiB and 128 times the input.
#[must_use]
pub const fn allowed_bytes(input: usize) -> usize {
    (1 << 20) + 128 * input
}

/// What is fuzzed, from which inputs, and how often.
pub struct Fuzz {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
    cases: usize,
}

impl Fuzz {
    /// A run of that name, which is also what replays it: the test's.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            seeds: Vec::new(),
            tokens: Vec::new(),
            cases: 20_000,
        }
    }

    /// Valid inputs to begin with.
    #[must_use]
    pub fn seeds(mut self, seeds: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        self.seeds.extend(seeds.into_iter().map(Into::into));
        self
    }

    /// Inputs in hex that once failed, and must not again.
    #[must_use]
    pub fn once_failed(mut self, inputs: &[&str]) -> Self {
        for text in inputs {
            match hex::decode(text) {
                Some(input) => self.seeds.push(input),
                None => stop(self.name, "an input that once failed is not hex"),
            }
        }
        self
    }

    /// Parts that chance would hardly make: key names, magic numbers.
    #[must_use]
    pub fn tokens(mut self, tokens: &[&[u8]]) -> Self {
        self.tokens
            .extend(tokens.iter().map(|token| token.to_vec()));
        self
    }

    /// How many inputs run where nobody asks for seconds.
    #[must_use]
    pub fn cases(mut self, cases: usize) -> Self {
        self.cases = cases;
        self
    }

    /// Runs `read` on input after input, then `check` on what it answered: that the answer is right, that it
    /// is written back as it was, by panicking if not. Only what `read` holds is measured.
    ///
    /// # Panics
    /// For the first input that makes either panic or `read` hold more than [`allowed_bytes`], and if no
    /// input read or none was refused, which would prove nothing.
    pub fn run<T, E: Display>(
        self,
        mut read: impl FnMut(&[u8]) -> Result<T, E>,
        mut check: impl FnMut(&[u8], Result<T, &E>),
    ) {
        let name = self.name;
        let mut one = |input: &[u8], which: &str| self.one(input, which, &mut read, &mut check);
        if let Some(input) = replayed(name) {
            let (refused, most_bytes) = one(&input, "replay");
            let answer = refused.unwrap_or_else(|| "it read".to_owned());
            eprintln!(
                "{name}: {} bytes of input, {most_bytes} held: {answer}",
                input.len()
            );
            return;
        }
        let seconds: Option<u64> = variable(name, SECONDS);
        let seed = variable(name, SEED).unwrap_or_else(|| seconds.map_or(1, |_| from_clock()));
        let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let mut random = Random::new(seed);
        let mut corpus = Corpus::new(self.seeds.clone(), self.tokens.clone());
        let (mut cases, mut readable, mut worst) = (0, 0_usize, 0);
        while match until {
            Some(until) => cases < self.seeds.len() || Instant::now() < until,
            None => cases < self.cases.max(self.seeds.len()),
        } {
            let input = corpus.input(cases, &mut random);
            let (refused, most_bytes) = one(&input, &format!("seed {seed}, case {cases}"));
            cases += 1;
            worst = worst.max(most_bytes);
            match refused {
                None => {
                    readable += 1;
                    corpus.read(&input, &mut random);
                }
                Some(reason) => corpus.refused(&input, &reason, &mut random),
            }
        }
        let reasons = corpus.reasons();
        eprintln!(
            "{name}: seed {seed}, {cases} inputs, {readable} read, {reasons} reasons to refuse, {worst} bytes at most"
        );
        if readable == 0 || readable == cases {
            stop(
                name,
                &format!("{readable} of {cases} inputs read: both sorts must come"),
            );
        }
    }

    /// Runs one input: why it was refused, None if it read, and the bytes that it took. Panics, with how to
    /// do it again, if it must not go so.
    fn one<T, E: Display>(
        &self,
        input: &[u8],
        which: &str,
        read: &mut impl FnMut(&[u8]) -> Result<T, E>,
        check: &mut impl FnMut(&[u8], Result<T, &E>),
    ) -> (Option<String>, usize) {
        self.trace(input);
        let ran = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            let taken = metered(|| read(input));
            let refused = match taken.result {
                Ok(value) => {
                    check(input, Ok(value));
                    None
                }
                Err(error) => {
                    check(input, Err(&error));
                    Some(error.to_string())
                }
            };
            (refused, taken.most_bytes)
        }));
        let Ok((refused, most_bytes)) = ran else {
            let what = "it panicked (the message is above)";
            stop(self.name, &self.report(what, which, input));
        };
        let allowed = allowed_bytes(input.len());
        if most_bytes > allowed {
            let what = format!("it took {most_bytes} bytes, {allowed} are allowed");
            stop(self.name, &self.report(&what, which, input));
        }
        (refused, most_bytes)
    }

    fn report(&self, what: &str, which: &str, input: &[u8]) -> String {
        let text = hex::encode(input);
        let shown = if input.len() <= SHOWN_BYTES_MAX {
            text
        } else {
            let path = self.path(&env::temp_dir());
            match fs::write(&path, text) {
                Ok(()) => format!("@{}", path.display()),
                Err(error) => format!("(not written to {}: {error})", path.display()),
            }
        };
        format!(
            "{what}\n  {which}, {} bytes of input\n  {INPUT}={shown} cargo test {}",
            input.len(),
            self.name
        )
    }

    fn path(&self, folder: &std::path::Path) -> PathBuf {
        folder.join(format!("treering-fuzz-{}-{}.hex", self.name, process::id()))
    }

    fn trace(&self, input: &[u8]) {
        if let Some(folder) = env::var_os(TRACE) {
            let path = self.path(folder.as_ref());
            if let Err(error) = fs::write(&path, hex::encode(input)) {
                stop(self.name, &format!("{}: {error}", path.display()));
            }
        }
    }
}

/// The input that is asked for, if one is.
fn replayed(name: &str) -> Option<Vec<u8>> {
    let given = env::var(INPUT).ok()?;
    let text = match given.strip_prefix('@') {
        Some(path) => match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => stop(name, &format!("{path}: {error}")),
        },
        None => given,
    };
    match hex::decode(&text) {
        Some(input) => Some(input),
        None => stop(name, &format!("{INPUT} is not hex")),
    }
}

fn variable(test: &str, name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => stop(test, &format!("{name} is no number: {text:?}")),
    }
}

fn from_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |since| since.as_micros() as u64)
}

/// Fails the test.
#[allow(clippy::panic)] // It is what a test does that fails.
fn stop(name: &str, why: &str) -> ! {
    panic!("{name}: {why}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// What the harness says about a function that is wrong.
    fn said(read: impl FnMut(&[u8]) -> Result<(), &'static str>) -> String {
        let run = || {
            Fuzz::new("said")
                .seeds([b"seed"])
                .cases(2000)
                .run(read, |_, _| ())
        };
        let error = panic::catch_unwind(panic::AssertUnwindSafe(run)).unwrap_err();
        error.downcast_ref::<String>().unwrap().clone()
    }

    fn short(input: &[u8]) -> Result<(), &'static str> {
        if input.len() < 5 {
            Ok(())
        } else {
            Err("too long")
        }
    }

    #[test]
    fn a_panic_is_told_with_the_input_that_replays_it() {
        let said = said(|input| {
            assert!(!(input.len() == 3 && input.starts_with(b"se")), "planted");
            short(input)
        });
        assert!(said.contains("it panicked"), "{said}");
        assert!(said.contains("TREERING_FUZZ_INPUT=7365"), "{said}");
        assert!(said.contains("cargo test said"), "{said}");
    }

    #[test]
    fn memory_beyond_the_allowance_is_told() {
        let said = said(|input| {
            if input.len() == 3 {
                drop(std::hint::black_box(vec![1_u8; (1 << 20) + 3 * 128 + 1]));
            }
            short(input)
        });
        assert!(
            said.contains("it took 1048961 bytes, 1048960 are allowed"),
            "{said}"
        );
    }

    #[test]
    fn a_run_that_proves_nothing_fails() {
        assert!(said(|_| Ok(())).contains("both sorts must come"));
        assert!(said(|_| Err("no")).contains("0 of 2000"));
    }

    #[test]
    fn what_is_right_passes_and_what_checking_takes_is_not_measured() {
        let mut inputs = 0;
        Fuzz::new("right")
            .seeds([b"seed"])
            .cases(500)
            .run(short, |_, _| {
                inputs += 1;
                drop(std::hint::black_box(vec![1_u8; 3 << 20]));
            });
        assert_eq!(inputs, 500);
    }
}
