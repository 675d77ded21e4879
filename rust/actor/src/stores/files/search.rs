//! `grep`: lines of text files that a pattern is found in.
//!
//! Promises: time linear in the text for any pattern, since the regex engine is; one file is in memory at a time.
//! A glob is translated here, and matches a whole path: `**` any text, `*` any without a slash, `?` one character.

use regex::{Regex, RegexBuilder};

use super::media;
use super::path::PATH_BYTES_MAX;
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
/// Bytes that a compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;

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

/// What is looked for, and where.
#[derive(Debug)]
pub struct Search {
    pattern: Regex,
    glob: Regex,
    results_max: usize,
    found: Vec<Found>,
}

impl Search {
    /// `pattern`: a regular expression without regard to case, or, if it is none, the text itself.
    ///
    /// # Errors
    /// `InvalidCommand` for an empty pattern, and for `results_max` outside 1 … [`RESULTS_MAX`]; `LimitExceeded`.
    pub fn new(pattern: &str, glob: &str, results_max: u64) -> Result<Self> {
        if pattern.is_empty() {
            return Err(ActorError::invalid("pattern", pattern, "it is empty"));
        }
        within("bytes of a pattern", PATTERN_BYTES_MAX, pattern.len())?;
        within("bytes of a glob", PATH_BYTES_MAX, glob.len())?;
        let count = usize::try_from(results_max).unwrap_or(usize::MAX);
        if !(1..=RESULTS_MAX).contains(&count) {
            let rule = format!("it is from 1 to {RESULTS_MAX}");
            return Err(ActorError::invalid(
                "max_results",
                &results_max.to_string(),
                rule,
            ));
        }
        Ok(Self {
            pattern: compile(pattern)?,
            glob: of_glob(glob)?,
            results_max: count,
            found: Vec::new(),
        })
    }

    /// Whether a file is looked into.
    pub fn wants(&self, file: &FileInfo) -> bool {
        !self.is_full()
            && file.size <= SEARCHED_BYTES_MAX
            && media::is_text(&file.content_type)
            && self.glob.is_match(&file.path)
    }

    /// Whether there is as much as was asked for.
    pub fn is_full(&self) -> bool {
        self.found.len() >= self.results_max
    }

    /// Looks into a file. Bytes that are not UTF-8 stand as U+FFFD.
    pub fn look(&mut self, path: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for (number, line) in (1..).zip(text.lines()) {
            if self.is_full() {
                return;
            }
            if self.pattern.is_match(line) {
                self.found.push(Found {
                    path: path.to_owned(),
                    line: number,
                    text: line.chars().take(LINE_CHARS_MAX).collect(),
                });
            }
        }
    }

    /// What was found, by file in the order in which they were looked into, and by line.
    pub fn found(self) -> Vec<Found> {
        self.found
    }
}

fn compile(pattern: &str) -> Result<Regex> {
    let build = |pattern: &str| {
        RegexBuilder::new(pattern)
            .case_insensitive(true)
            .size_limit(COMPILED_BYTES_MAX)
            .build()
    };
    let built = match build(pattern) {
        Err(regex::Error::Syntax(_)) => build(&regex::escape(pattern)),
        built => built,
    };
    built.map_err(|_| {
        ActorError::invalid(
            "pattern",
            pattern,
            "compiled it takes over 1 MiB: repeat less in it",
        )
    })
}

fn of_glob(glob: &str) -> Result<Regex> {
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
                regex::escape(other.encode_utf8(&mut [0; 4])),
            ),
        };
        pattern.push_str(&piece);
        rest = rest.get(taken..).unwrap_or_default();
    }
    pattern.push_str(")$");
    Regex::new(&pattern).map_err(|_| ActorError::invalid("glob", glob, "it has too many wildcards"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(pattern: &str, glob: &str, text: &str) -> Vec<(u64, String)> {
        let mut search = Search::new(pattern, glob, 100).unwrap();
        search.look("a", text.as_bytes());
        let lines = search.found().into_iter();
        lines.map(|found| (found.line, found.text)).collect()
    }

    fn matches(glob: &str, path: &str) -> bool {
        of_glob(glob).unwrap().is_match(path)
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
        assert!(refused("((a{1000}){1000}){1000}", "**", 1).contains("repeat less"));
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
        let search = Search::new("a", "*.txt", 1).unwrap();
        let file = |path: &str, size, content_type: &str| FileInfo {
            path: path.into(),
            size,
            content_type: content_type.into(),
            ..FileInfo::default()
        };
        assert!(search.wants(&file("a.txt", SEARCHED_BYTES_MAX, "text/plain")));
        assert!(!search.wants(&file("a.txt", SEARCHED_BYTES_MAX + 1, "text/plain")));
        assert!(!search.wants(&file("a.txt", 1, "image/png")));
        assert!(!search.wants(&file("b/a.txt", 1, "text/plain")));
    }

    #[test]
    fn as_many_lines_as_asked_for_and_no_more_of_a_line_than_is_told() {
        let mut search = Search::new("x", "**", 3).unwrap();
        search.look("a", "x\nx\n".as_bytes());
        search.look("b", "x\nx\n".as_bytes());
        let found = search.found();
        assert_eq!(found.len(), 3);
        assert_eq!((found[2].path.as_str(), found[2].line), ("b", 1));
        let long = search_one(&"xä".repeat(LINE_CHARS_MAX));
        assert_eq!(long.chars().count(), LINE_CHARS_MAX);
        assert_eq!(search_one("x\u{fffd}"), "x\u{fffd}");
        let mut search = Search::new("x", "**", 1).unwrap();
        search.look("a", b"x\xff");
        assert_eq!(search.found()[0].text, "x\u{fffd}");
    }

    fn search_one(line: &str) -> String {
        search("x", "**", line).remove(0).1
    }
}
