//! The inputs that others are made from: the seeds, and what turned out to be new on the way.
//!
//! Without instrumentation the only sign of a new path is the answer, so an input is kept when it read
//! (few changed inputs do) or was refused for a reason that had not come yet.

use std::collections::HashSet;

use crate::mutate::mutated;
use crate::random::Random;

/// Found inputs that are kept; then each new one takes a random one's place.
const FOUND_MAX: usize = 256;
/// Longer ones are not kept, or the rest of the run would be spent on copying them.
const FOUND_BYTES_MAX: usize = 4096;

pub(crate) struct Corpus {
    seeds: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
    found: Vec<Vec<u8>>,
    reasons: HashSet<String>,
}

impl Corpus {
    pub(crate) fn new(seeds: Vec<Vec<u8>>, tokens: Vec<Vec<u8>>) -> Self {
        Self {
            seeds,
            tokens,
            found: Vec::new(),
            reasons: HashSet::new(),
        }
    }

    /// The seeds as they are come first, each once; then changed ones.
    pub(crate) fn input(&self, case: usize, random: &mut Random) -> Vec<u8> {
        match self.seeds.get(case) {
            Some(seed) => seed.clone(),
            None => {
                let (one, other) = (self.any(random), self.any(random));
                mutated(random, one, other, &self.tokens)
            }
        }
    }

    fn any(&self, random: &mut Random) -> &[u8] {
        let from = if random.once_in(2) {
            &self.found
        } else {
            &self.seeds
        };
        let from = if from.is_empty() { &self.seeds } else { from };
        random.pick(from).map_or(&[], Vec::as_slice)
    }

    /// Takes in an input that read.
    pub(crate) fn read(&mut self, input: &[u8], random: &mut Random) {
        if input.len() > FOUND_BYTES_MAX {
            return;
        }
        if self.found.len() < FOUND_MAX {
            self.found.push(input.to_vec());
        } else {
            let place = random.below(FOUND_MAX);
            if let Some(old) = self.found.get_mut(place) {
                *old = input.to_vec();
            }
        }
    }

    /// Takes in an input that was refused, if the reason is a new one.
    pub(crate) fn refused(&mut self, input: &[u8], reason: &str, random: &mut Random) {
        // Without what it quotes and counts, so that not each input is a reason of its own.
        let kind: String = reason
            .split('"')
            .step_by(2)
            .flat_map(str::chars)
            .filter(|character| character.is_ascii_lowercase() || *character == ' ')
            .take(64)
            .collect();
        if self.reasons.len() < 4096 && self.reasons.insert(kind) {
            self.read(input, random);
        }
    }

    /// How many reasons there were to refuse.
    pub(crate) fn reasons(&self) -> usize {
        self.reasons.len()
    }
}
