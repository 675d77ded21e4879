//! A pattern that is looked for in lines: a regular expression, whose work is counted and can be left and taken up.
//!
//! Promises: an answer for any pattern and line that are taken; what it costs is told in steps, and never more of them
//! are made at once than were asked for. A step is one state of the program that is tried with one byte.
//! How: a DFA that is made as it is needed, a byte at a look-up. Where it would grow without end, or can't tell (word
//! boundaries beside other than ASCII), all states are walked side by side: time is states times bytes, never more.

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{Compiler, Config, NFA, State, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind};

/// Bytes that a program may take: some 20,000 states.
const PROGRAM_BYTES_MAX: usize = 1 << 20;
/// Bytes of the states of the DFA, then they are forgotten.
const CACHE_BYTES: usize = 2 << 20;
/// After so many times it is given up where it does not pay.
const CLEARS: usize = 2;
/// It pays if a state that is made serves for so many bytes.
const BYTES_PER_STATE: usize = 10;
/// What making so many states counts for.
const STEPS_PER_CLEAR: u64 = 1 << 20;

/// Why there is no pattern.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no regular expression.
    Syntax,
    /// It is too large a one.
    Size,
}

/// See the top of this file.
#[derive(Debug)]
pub struct Pattern {
    dfa: DFA,
    cache: Cache,
    walk: Option<Walk>,
    seen: Seen,
}

/// What looking into a line came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Looked {
    /// Whether it is in the line; None: the steps were used up, and the same line is to be given again.
    pub found: Option<bool>,
    /// Steps that were made.
    pub steps: u64,
}

impl Pattern {
    /// The pattern of a regular expression, or why there is none.
    pub fn new(expression: &str, case_insensitive: bool) -> Result<Self, Refused> {
        let syntax = syntax::Config::new().case_insensitive(case_insensitive);
        let parsed = syntax::parse_with(expression, &syntax).map_err(|_| Refused::Syntax)?;
        let config = Config::new()
            .nfa_size_limit(Some(PROGRAM_BYTES_MAX))
            .which_captures(WhichCaptures::None);
        let program = Compiler::new().configure(config).build_from_hir(&parsed);
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .unicode_word_boundary(true)
            .cache_capacity(CACHE_BYTES)
            .minimum_cache_clear_count(Some(CLEARS))
            .minimum_bytes_per_state(Some(BYTES_PER_STATE));
        let dfa = DFA::builder()
            .configure(config)
            .build_from_nfa(program.map_err(|_| Refused::Size)?)
            .map_err(|_| Refused::Size)?;
        Ok(Self {
            cache: dfa.create_cache(),
            seen: Seen::of(dfa.get_nfa()),
            dfa,
            walk: None,
        })
    }

    /// Looks for it in a line, or goes on with that, in about `steps` steps at most.
    pub fn look(&mut self, line: &str, steps: u64) -> Looked {
        let mut made = 0;
        let walk = match &mut self.walk {
            Some(walk) => walk,
            None => {
                let cleared = self.cache.clear_count();
                let input = Input::new(line).earliest(true);
                let answer = self.dfa.try_search_fwd(&mut self.cache, &input);
                let cleared = self.cache.clear_count().saturating_sub(cleared) as u64;
                made = cleared.saturating_mul(STEPS_PER_CLEAR);
                if let Ok(found) = answer {
                    let found = Some(found.is_some());
                    return Looked { found, steps: made };
                }
                self.walk.insert(Walk::default())
            }
        };
        let (found, walked) = walk.go(self.dfa.get_nfa(), &mut self.seen, line, steps);
        if found.is_some() {
            self.walk = None;
        }
        Looked {
            found,
            steps: made.saturating_add(walked),
        }
    }
}

/// All states that the program can be in, on its way through a line.
#[derive(Debug, Default)]
struct Walk {
    /// Bytes that were read.
    at: usize,
    /// None before the first.
    states: Option<Vec<StateID>>,
}

impl Walk {
    fn go(
        &mut self,
        program: &NFA,
        seen: &mut Seen,
        line: &str,
        steps_max: u64,
    ) -> (Option<bool>, u64) {
        let (mut steps, mut spare) = (0_u64, Vec::new());
        let mut states = match self.states.take() {
            Some(states) => states,
            None => {
                let mut states = Vec::new();
                seen.clear();
                if seen.reach(program, program.start_unanchored(), line, 0, &mut states) {
                    return (Some(true), 1);
                }
                states
            }
        };
        for byte in line.as_bytes().iter().skip(self.at) {
            if steps >= steps_max {
                self.states = Some(states);
                return (None, steps);
            }
            self.at += 1;
            seen.clear();
            spare.clear();
            for state in &states {
                let next = match program.state(*state) {
                    State::ByteRange { trans } if trans.matches_byte(*byte) => Some(trans.next),
                    State::Sparse(many) => many.matches_byte(*byte),
                    State::Dense(many) => many.matches_byte(*byte),
                    _ => None,
                };
                if let Some(next) = next
                    && seen.reach(program, next, line, self.at, &mut spare)
                {
                    return (Some(true), steps);
                }
            }
            // What led on to others is work, too.
            steps = steps.saturating_add(1 + states.len() as u64 + seen.reached());
            std::mem::swap(&mut states, &mut spare);
        }
        (Some(false), steps)
    }
}

/// Which states were reached behind a byte.
#[derive(Debug)]
struct Seen {
    /// For each state, when it was reached last.
    when: Vec<u64>,
    now: u64,
    reached: u64,
    open: Vec<StateID>,
}

impl Seen {
    fn of(program: &NFA) -> Self {
        Self {
            when: vec![0; program.states().len()],
            now: 0,
            reached: 0,
            open: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.now += 1;
        self.reached = 0;
    }

    fn reached(&self) -> u64 {
        self.reached
    }

    /// Adds the states that read a byte and are reached from this one without; whether a match is.
    fn reach(
        &mut self,
        program: &NFA,
        from: StateID,
        line: &str,
        at: usize,
        states: &mut Vec<StateID>,
    ) -> bool {
        self.open.clear();
        self.open.push(from);
        while let Some(state) = self.open.pop() {
            match self.when.get_mut(state.as_usize()) {
                Some(when) if *when != self.now => *when = self.now,
                _ => continue,
            }
            self.reached += 1;
            match program.state(state) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => states.push(state),
                State::Look { look, next } => {
                    let looks = program.look_matcher();
                    if looks.matches(*look, line.as_bytes(), at) {
                        self.open.push(*next);
                    }
                }
                State::Union { alternates } => self.open.extend_from_slice(alternates),
                State::BinaryUnion { alt1, alt2 } => self.open.extend([*alt1, *alt2]),
                State::Capture { next, .. } => self.open.push(*next),
                State::Fail => {}
                // Nothing matches amid a character.
                State::Match { .. } => {
                    if line.is_char_boundary(at) {
                        return true;
                    }
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(pattern: &mut Pattern, line: &str, walked: bool, steps: u64) -> bool {
        if walked {
            pattern.walk = Some(Walk::default());
        }
        loop {
            if let Some(found) = pattern.look(line, steps).found {
                assert!(pattern.walk.is_none());
                return found;
            }
        }
    }

    const LINES: &[&str] = &[
        "",
        "a",
        "b",
        "ab",
        "aab",
        "abab c",
        "Straße",
        "ÄRGER",
        "ein ärger",
        "x\u{e9}y",
        "\u{1f600}",
        "a\tb",
        "foo bar",
        "foobar",
        "1234",
        "a-b_c",
    ];

    #[test]
    fn all_states_side_by_side_find_what_the_dfa_finds() {
        for expression in [
            "",
            "a|b",
            "^a*b$",
            "(ab){2}",
            "ä",
            "^.$",
            r"\d{3,}",
            "[^ -~]",
            "(a?){3}a{3}",
            "x.y",
        ] {
            let mut pattern = Pattern::new(expression, true).unwrap();
            for line in LINES {
                let fast = looked(&mut pattern, line, false, u64::MAX);
                for steps in [1, 7, u64::MAX] {
                    let slow = looked(&mut pattern, line, true, steps);
                    assert_eq!(fast, slow, "{expression:?} in {line:?}");
                }
            }
        }
    }

    #[test]
    fn word_boundaries_are_those_of_unicode() {
        for (expression, line, expected) in [
            (r"\bärger\b", "ein Ärger!", true),
            (r"\bger\b", "ärger", false),
            (r"\Bger", "ärger", true),
            (r"\bfoo\b", "foo bar", true),
            (r"\bfoo\b", "foobar", false),
            (r"\B", "é", false),
            (r"(?-u:\B)", "é", true),
            (r"\b{start}é", "a é", true),
        ] {
            let mut pattern = Pattern::new(expression, true).unwrap();
            for walked in [false, true] {
                let found = looked(&mut pattern, line, walked, 3);
                assert_eq!(found, expected, "{expression:?} in {line:?}");
            }
        }
    }

    #[test]
    fn what_a_walk_costs_is_told() {
        let mut pattern = Pattern::new("(x{1,50}){1,50}z", true).unwrap();
        let line = "x".repeat(3000);
        pattern.walk = Some(Walk::default());
        let all = pattern.look(&line, u64::MAX);
        assert_eq!(all.found, Some(false));
        // All 2,500 places are reached, behind so many bytes.
        assert!(all.steps > 2_500 * 400);
        let (mut steps, mut parts) = (0, 0);
        pattern.walk = Some(Walk::default());
        loop {
            let part = pattern.look(&line, 10_000);
            assert!(part.steps < 10_000 + 20_000, "a byte more than asked for");
            steps += part.steps;
            parts += 1;
            if part.found.is_some() {
                break;
            }
        }
        assert_eq!(steps, all.steps);
        assert!(parts > 50);
    }

    #[test]
    fn a_dfa_that_does_not_pay_is_given_up_and_the_answer_is_right() {
        let mut pattern = Pattern::new("(x|y){0,200}z.{200}q", true).unwrap();
        let mut line = String::new();
        let mut next = 1_u32;
        for _ in 0..60_000 {
            next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            line.push(if next >> 31 == 0 { 'x' } else { 'z' });
        }
        let none = pattern.look(&line, u64::MAX);
        assert_eq!(none.found, Some(false));
        assert!(none.steps > STEPS_PER_CLEAR, "it was cleared, and walked");
        line.push('q');
        let expected = line.as_bytes().iter().rev().nth(201) == Some(&b'z');
        assert_eq!(pattern.look(&line, u64::MAX).found, Some(expected));
    }

    #[test]
    fn what_is_refused() {
        let refused = |expression: &str| Pattern::new(expression, true).unwrap_err();
        assert_eq!(refused("f(x"), Refused::Syntax);
        assert_eq!(refused(r"(a)\1"), Refused::Syntax);
        assert_eq!(refused(r"\w{100}"), Refused::Size);
    }
}
