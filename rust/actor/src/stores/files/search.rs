//! `grep`: lines of text files that a pattern is found in.
//!
//! Promises: time is linear in the text for any pattern, and what a whole search costs is bounded: it ends with what it
//! found, or with `LimitExceeded`. It is made in slices of some hundredths of a second, so whoever gave up need not wait.
//! A glob is translated here, and matches a whole path: `**` any text, `*` any without a slash, `?` one character.

use super::media;
use super::path::PATH_BYTES_MAX;
use super::pattern::{Pattern, Refused};
use crate::error::{ActorError, Result, within};
use crate::messages::FileInfo;

/// Files of more bytes are not looked into.
pub const SEARCHED_BYTES_MAX: u64 = 1 << 20;
/// Lines that one search finds at most.
pub const RESULTS_MAX: usize = 100;
/// UTF-8 bytes of a pattern.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// Characters of a line that are given.
pub const LINE_CHARS_MAX: usize = 1000;
/// Steps of a search: states of the pattern that are tried with a byte, where that is not one look-up for all of them.
pub const STEPS_MAX: u64 = 1 << 28;
/// Steps and bytes of one slice.
pub const SLICE: u64 = 1 << 22;

/// A line in which the pattern was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: String,
    /// Number of the line, from 1.
    pub line: u64,
    /// The line without its end, at most [`LINE_CHARS_MAX`] characters of it.
    pub text: String,
}

/// A file that is looked into, and how far that is.
#[derive(Debug)]
pub struct Text {
    path: String,
    text: String,
    at: usize,
    line: u64,
}

impl Text {
    /// A file. Bytes that are not UTF-8 stand as U+FFFD.
    pub fn new(path: &str, bytes: &[u8]) -> Self {
        Self {
            path: path.to_owned(),
            text: String::from_utf8_lossy(bytes).into_owned(),
            at: 0,
            line: 0,
        }
    }

    /// The next line, with its end.
    fn rest(&self) -> Option<&str> {
        self.text.get(self.at..)?.split_inclusive('\n').next()
    }
}

/// What is looked for, and where.
#[derive(Debug)]
pub struct Search {
    pattern: Pattern,
    glob: Pattern,
    results_max: usize,
    found: Vec<Found>,
    steps: u64,
    slice: u64,
}

impl Search {
    /// `pattern`: a regular expression without regard to case, or, if it is none, the text itself.
    ///
    /// # Errors
    /// `InvalidCommand` for an empty pattern, for one that repeats too much, and for `results_max` outside
    /// 1 … [`RESULTS_MAX`]; `LimitExceeded`.
    pub fn new(pattern: &str, glob: &str, results_max: u64) -> Result<Self> {
        if pattern.is_empty() {
            return Err(ActorError::invalid("pattern", pattern, "it is empty"));
        }
        within("bytes of a pattern", PATTERN_BYTES_MAX, pattern.len())?;
        within("bytes of a glob", PATH_BYTES_MAX, glob.len())?;
        let count = usize::try_from(results_max).unwrap_or(usize::MAX);
        if !(1..=RESULTS_MAX).contains(&count) {
            return Err(refused_results(&results_max.to_string()));
        }
        Ok(Self {
            pattern: compile(pattern)?,
            glob: of_glob(glob)?,
            results_max: count,
            found: Vec::new(),
            steps: 0,
            slice: 0,
        })
    }

    /// Whether a file is looked into.
    ///
    /// # Errors
    /// `LimitExceeded` after [`STEPS_MAX`].
    pub fn wants(&mut self, file: &FileInfo) -> Result<bool> {
        if self.is_full() || file.size > SEARCHED_BYTES_MAX || !media::is_text(&file.content_type) {
            return Ok(false);
        }
        self.slice = self.slice.saturating_add(file.path.len() as u64);
        loop {
            let looked = self.glob.look(&file.path, SLICE);
            self.spend(looked.steps)?;
            if let Some(found) = looked.found {
                return Ok(found);
            }
        }
    }

    /// Whether there is as much as was asked for.
    pub fn is_full(&self) -> bool {
        self.found.len() >= self.results_max
    }

    /// Begins a slice.
    pub fn begin(&mut self) {
        self.slice = 0;
    }

    /// Whether a slice is over.
    pub fn is_over(&self) -> bool {
        self.slice >= SLICE
    }

    /// Looks into a file, to the end of the slice; whether it is done with it.
    ///
    /// # Errors
    /// `LimitExceeded` after [`STEPS_MAX`].
    pub fn look(&mut self, text: &mut Text) -> Result<bool> {
        while let Some(piece) = text.rest() {
            if self.is_full() {
                return Ok(true);
            }
            if self.is_over() {
                return Ok(false);
            }
            let line = match piece.strip_suffix('\n') {
                Some(line) => line.strip_suffix('\r').unwrap_or(line),
                None => piece,
            };
            let looked = self.pattern.look(line, SLICE - self.slice);
            self.spend(looked.steps)?;
            let Some(found) = looked.found else {
                return Ok(false);
            };
            if found {
                self.found.push(Found {
                    path: text.path.clone(),
                    line: text.line + 1,
                    text: line.chars().take(LINE_CHARS_MAX).collect(),
                });
            }
            self.slice = self.slice.saturating_add(piece.len() as u64);
            text.at += piece.len();
            text.line += 1;
        }
        Ok(true)
    }

    fn spend(&mut self, steps: u64) -> Result<()> {
        self.slice = self.slice.saturating_add(steps);
        self.steps = self.steps.saturating_add(steps);
        if self.steps <= STEPS_MAX {
            return Ok(());
        }
        Err(ActorError::LimitExceeded {
            what: "steps of a search (repeat less in the pattern, or name fewer files by the glob)",
            limit: STEPS_MAX,
            actual: self.steps,
        })
    }

    /// What was found, by file in the order in which they were looked into, and by line.
    pub fn found(self) -> Vec<Found> {
        self.found
    }
}

/// What is said of a number of results that can't be, as it was given.
pub fn refused_results(told: &str) -> ActorError {
    let rule = format!("it is from 1 to {RESULTS_MAX}");
    ActorError::invalid("max_results", told, rule)
}

fn compile(pattern: &str) -> Result<Pattern> {
    let compiled = match Pattern::new(pattern, true) {
        Err(Refused::Syntax) => Pattern::new(&regex_syntax::escape(pattern), true),
        compiled => compiled,
    };
    compiled.map_err(|_| {
        let rule = "compiled it takes over 1 MiB: repeat less in it";
        ActorError::invalid("pattern", pattern, rule)
    })
}

fn of_glob(glob: &str) -> Result<Pattern> {
    let mut pattern = String::from("^(?s:");
    let mut rest = glob;
    while let Some(letter) = rest.chars().next() {
        let (taken, piece) = match letter {
            // No folder is as good as any.
            '*' if rest.starts_with("**/") => (3, "(?:.*/)?".to_owned()),
            '*' if rest.starts_with("**") => (2, ".*".to_owned()),
            '*' => (1, "[^/]*".to_owned()),
            '?' => (1, ".".to_owned()),
            other => (
                other.len_utf8(),
                regex_syntax::escape(other.encode_utf8(&mut [0; 4])),
            ),
        };
        pattern.push_str(&piece);
        rest = rest.get(taken..).unwrap_or_default();
    }
    pattern.push_str(")$");
    Pattern::new(&pattern, false)
        .map_err(|_| ActorError::invalid("glob", glob, "it has too many wildcards"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(pattern: &str, glob: &str, text: &str) -> Vec<(u64, String)> {
        let mut search = Search::new(pattern, glob, 100).unwrap();
        all_of(&mut search, "a", text.as_bytes());
        let lines = search.found().into_iter();
        lines.map(|found| (found.line, found.text)).collect()
    }

    /// Looks into a file slice by slice, which are counted.
    fn all_of(search: &mut Search, path: &str, bytes: &[u8]) -> u32 {
        let mut text = Text::new(path, bytes);
        for slices in 1.. {
            search.begin();
            if search.look(&mut text).unwrap() {
                return slices;
            }
            assert!(search.is_over());
        }
        unreachable!()
    }

    fn matches(glob: &str, path: &str) -> bool {
        let looked = of_glob(glob).unwrap().look(path, u64::MAX);
        looked.found.unwrap()
    }

    #[test]
    fn a_pattern_is_a_regex_without_regard_to_case() {
        let text = "One\r\ntwo\nTHREE one\n";
        assert_eq!(
            search("ONE", "**", text),
            [(1, "One".into()), (3, "THREE one".into())]
        );
        assert_eq!(search("^t[wx]o$", "**", text), [(2, "two".into())]);
        assert_eq!(search("ÄRGER", "**", "ärger"), [(1, "ärger".into())]);
    }

    #[test]
    fn an_invalid_pattern_is_taken_literally() {
        assert_eq!(search("f(x", "**", "F(X)\nfx"), [(1, "F(X)".into())]);
        assert_eq!(search("[a", "**", "b[Ab"), [(1, "b[Ab".into())]);
        // Back references are no part of the language: linear time has none.
        assert_eq!(search(r"(a)\1", "**", "aa\n(a)\\1"), [(2, "(a)\\1".into())]);
        assert_eq!(search("*", "**", "a*b"), [(1, "a*b".into())]);
    }

    #[test]
    fn a_pattern_that_takes_ages_elsewhere_takes_none_here() {
        let text = "a".repeat(200_000) + "!";
        assert_eq!(search("^(a+)+$", "**", &text), []);
        assert_eq!(search("(x+x+)+y", "**", &"x".repeat(100_000)), []);
    }

    #[test]
    fn lines_end_as_they_do_elsewhere() {
        let text = "a\r\nb\rc\n\r\n\nd\r";
        let mut expected: Vec<(u64, String)> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            expected.push((line, text.to_owned()));
        }
        assert_eq!(search("^", "**", text), expected);
    }

    /// Both nest what is repeated; the one is refused, the other takes thousands of states beside each other.
    const WORST: &str = "(x{1,50}){1,50}z";

    #[test]
    fn a_slice_is_bounded_for_any_pattern() {
        let mut search = Search::new(WORST, "**", 1).unwrap();
        let line = "x".repeat(3_000);
        // Each byte is tried with some thousands of states.
        assert!(all_of(&mut search, "a", line.as_bytes()) > 3);
        assert!(search.found.is_empty());
        assert!(all_of(&mut search, "a", format!("{line}z").as_bytes()) > 3);
        assert_eq!(search.found.len(), 1);
        // What is cheap costs what it reads: a slice takes lines of 4 MiB.
        let mut search = Search::new("y", "**", 1).unwrap();
        assert_eq!(
            all_of(&mut search, "a", "x\n".repeat(SLICE as usize).as_bytes()),
            2
        );
    }

    #[test]
    fn a_search_ends_whatever_its_pattern() {
        for pattern in [
            WORST,
            "([xy]{1,60}z?){1,60}q",
            r"(\w{1,4}\s*){1,4}z",
            r"(x+x+)+y",
            "(x*)*y",
        ] {
            let mut search = Search::new(pattern, "**", 1).unwrap();
            let mut text = Text::new("a", "x".repeat(1 << 20).as_bytes());
            search.steps = STEPS_MAX - SLICE;
            let error = loop {
                search.begin();
                match search.look(&mut text) {
                    Ok(true) => break None,
                    Ok(false) => {}
                    Err(error) => break Some(error),
                }
            };
            match error {
                Some(error) => assert!(error.to_string().contains("repeat less"), "{error}"),
                // A DFA of few states: one look-up for each byte.
                None => assert!(search.steps < STEPS_MAX, "{pattern}"),
            }
            assert!(pattern != WORST || search.steps > STEPS_MAX, "{pattern}");
        }
    }

    #[test]
    fn the_last_step_that_is_allowed() {
        let mut search = Search::new("a", "**", 1).unwrap();
        search.spend(STEPS_MAX).unwrap();
        let error = search.spend(1).unwrap_err();
        assert!(matches!(
            error,
            ActorError::LimitExceeded {
                limit: STEPS_MAX,
                ..
            }
        ));
    }

    #[test]
    fn globs_are_steps_too() {
        let mut search = Search::new("a", &"*a".repeat(512), 1).unwrap();
        let path = "a".repeat(1000) + "b";
        let file = |number: u32| FileInfo {
            path: format!("{number}{path}{number}"),
            content_type: "text/plain".into(),
            ..FileInfo::default()
        };
        let wants = (0..50).map(|number| search.wants(&file(number)));
        assert!(wants.collect::<Result<Vec<_>>>().unwrap().contains(&false));
        assert!(search.slice > 50 * 1000);
    }

    #[test]
    fn limits_of_a_search() {
        let refused = |pattern: &str, glob: &str, count| {
            Search::new(pattern, glob, count).unwrap_err().to_string()
        };
        assert!(refused("", "**", 1).contains("empty"));
        assert!(refused("a", "**", 0).contains("from 1 to 100"));
        assert!(refused("a", "**", 101).contains("from 1 to 100"));
        assert!(refused("a", "**", u64::MAX).contains("from 1 to 100"));
        assert!(refused(&"a".repeat(1025), "**", 1).contains("pattern"));
        assert!(refused("a", &"*".repeat(1025), 1).contains("glob"));
        for large in [
            "((a{1000}){1000}){1000}",
            r"\w{100}",
            "(x{1,200}){1,200}",
            "a{99999}",
        ] {
            assert!(refused(large, "**", 1).contains("repeat less"), "{large}");
        }
        for taken in [
            "a{1000}",
            r"\w+@\w+\.\w{2,10}",
            r"\b\p{Lu}\w*\b",
            ".{0,100}",
            WORST,
        ] {
            Search::new(taken, "**", 1).unwrap();
        }
        Search::new(&"a".repeat(1024), &"a".repeat(1024), 100).unwrap();
        of_glob(&"*a".repeat(512)).unwrap();
        of_glob(&"?".repeat(1024)).unwrap();
    }

    #[test]
    fn stars_and_question_marks() {
        for (glob, path, expected) in [
            ("**", "a/b/c.md", true),
            ("*", "a.md", true),
            ("*", "a/b.md", false),
            ("*.md", "a.md", true),
            ("*.md", "a/b.md", false),
            ("**.md", "a/b.md", true),
            ("**/*.md", "a/b/c.md", true),
            ("**/*.md", "c.md", true),
            ("a/**", "a/b/c", true),
            ("a/**", "ab/c", false),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/b/d/c", true),
            ("?", "a", true),
            ("?", "", false),
            ("?", "ab", false),
            ("a?c", "abc", true),
            ("a.c", "abc", false),
            ("[ab]", "a", false),
            ("{a,b}", "a", false),
            ("A", "a", false),
            ("", "", true),
            ("", "a", false),
            ("(", "(", true),
        ] {
            assert_eq!(matches(glob, path), expected, "{glob:?} on {path:?}");
        }
    }

    #[test]
    fn only_text_files_of_up_to_a_mebibyte_are_looked_into() {
        let mut search = Search::new("a", "*.txt", 1).unwrap();
        let file = |path: &str, size, content_type: &str| FileInfo {
            path: path.into(),
            size,
            content_type: content_type.into(),
            ..FileInfo::default()
        };
        assert!(
            search
                .wants(&file("a.txt", SEARCHED_BYTES_MAX, "text/plain"))
                .unwrap()
        );
        assert!(
            !search
                .wants(&file("a.txt", SEARCHED_BYTES_MAX + 1, "text/plain"))
                .unwrap()
        );
        assert!(!search.wants(&file("a.txt", 1, "image/png")).unwrap());
        assert!(!search.wants(&file("b/a.txt", 1, "text/plain")).unwrap());
    }

    #[test]
    fn as_many_lines_as_asked_for_and_no_more_of_a_line_than_is_told() {
        let mut search = Search::new("x", "**", 3).unwrap();
        all_of(&mut search, "a", "x\nx\n".as_bytes());
        all_of(&mut search, "b", "x\nx\n".as_bytes());
        let found = search.found();
        assert_eq!(found.len(), 3);
        assert_eq!((found[2].path.as_str(), found[2].line), ("b", 1));
        let long = search_one(&"xä".repeat(LINE_CHARS_MAX));
        assert_eq!(long.chars().count(), LINE_CHARS_MAX);
        assert_eq!(search_one("x\u{fffd}"), "x\u{fffd}");
        let mut search = Search::new("x", "**", 1).unwrap();
        all_of(&mut search, "a", b"x\xff");
        assert_eq!(search.found()[0].text, "x\u{fffd}");
    }

    fn search_one(line: &str) -> String {
        search("x", "**", line).remove(0).1
    }
}
