//! The moments of a trace at which a power failure tells most: before each sync, when most can be lost,
//! and after each mark, when nothing that was promised may be.

use super::image::Image;
use super::trace::{Event, Trace};

/// Goes through a trace from moment to moment.
pub struct Cuts {
    trace: Trace,
    image: Image,
    /// Events that have happened.
    done: usize,
    marks: Vec<u64>,
}

/// One moment.
pub struct Cut<'c> {
    /// The disk then.
    pub image: &'c Image,
    /// How many events had happened.
    pub after: usize,
    /// The last of them.
    pub event: &'c Event,
    /// What had been marked, in order.
    pub marks: &'c [u64],
}

impl Cuts {
    /// `image`: the disk before the first event.
    pub fn new(image: Image, trace: Trace) -> Self {
        Self {
            trace,
            image,
            done: 0,
            marks: Vec::new(),
        }
    }

    /// The disk at the moment that was given last.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The next moment; None after the last one, which is the trace's end.
    pub fn next_cut(&mut self) -> Option<Cut<'_>> {
        loop {
            let event = self.trace.get(self.done)?;
            self.image.apply(event);
            self.done += 1;
            if let Event::Mark(mark) = event {
                self.marks.push(*mark);
            }
            let next = self.trace.get(self.done);
            if matches!(event, Event::Mark(_)) || next.is_none_or(Event::is_sync) {
                break;
            }
        }
        Some(Cut {
            image: &self.image,
            after: self.done,
            event: self.trace.get(self.done.checked_sub(1)?)?,
            marks: &self.marks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_each_sync_after_each_mark_and_at_the_end() {
        let write = |offset| Event::Write {
            path: "a".into(),
            offset,
            bytes: b"x".as_slice().into(),
        };
        let trace = vec![
            Event::Open("a".into()),
            write(0),
            Event::Sync("a".into()),
            Event::Mark(7),
            write(1),
            write(2),
        ];
        let mut cuts = Cuts::new(Image::new(), trace);
        let mut seen = Vec::new();
        while let Some(cut) = cuts.next_cut() {
            seen.push((cut.after, cut.marks.to_vec(), cut.image.losable()));
        }
        // The name is never synced, so it can be lost to the end.
        assert_eq!(
            seen,
            [(2, vec![], 2), (4, vec![7], 1), (6, vec![7], 3)],
            "events, marks, what can be lost"
        );
    }
}
