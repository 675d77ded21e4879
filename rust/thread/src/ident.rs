//! Ids and names: ULIDs, keys, and the refs of a thread.
//!
//! Whatever comes from outside is parsed here before it is used.

use std::sync::Mutex;

use treering_store::RefName;
use ulid::Ulid;

use crate::error::{Result, ThreadError, within};
use crate::limits::{ID_PREFIX_MIN, KEY_BYTES_MAX};

/// The kind of a thread's ref.
pub const THREAD: &str = "thread";
pub(crate) const THREAD_KEY: &str = "thread-key";
pub(crate) const THREAD_FAILED: &str = "thread-failed";

/// Characters of a ULID.
const ID_CHARS: usize = 26;

/// The last ones of an id, for those that are made together to count in: its last four characters.
const TOGETHER_BITS: u32 = 20;
/// Characters that ids that were made together have in common.
const TOGETHER_CHARS: usize = 22;

/// A new id of that time; ids of one process and millisecond grow in the order in which they were made.
pub fn new_id(now_ms: i64) -> String {
    drawn(now_ms, 0).to_string()
}

/// New ids that are made together: the first 22 characters are the same and in no other ids, the last four count.
/// They grow as [`new_id`]'s do.
#[derive(Debug)]
pub struct Ids {
    at_ms: i64,
    next: u128,
}

impl Ids {
    /// Ids of that time.
    pub fn new(now_ms: i64) -> Self {
        Self {
            at_ms: now_ms,
            next: drawn(now_ms, TOGETHER_BITS).into(),
        }
    }

    /// The next one. After a million they have other first characters.
    pub fn draw(&mut self) -> String {
        let id = Ulid::from(self.next);
        self.next += 1;
        if self.next.trailing_zeros() >= TOGETHER_BITS {
            self.next = drawn(self.at_ms, TOGETHER_BITS).into();
        }
        id.to_string()
    }
}

/// Whether two ids were made together.
pub fn are_together(one: &str, other: &str) -> bool {
    let common = |id: &str| id.get(..TOGETHER_CHARS).map(str::to_owned);
    common(one).is_some() && common(one) == common(other)
}

/// An id that nobody has, nor any that differs in the last `room` bits only: these are 0.
fn drawn(now_ms: i64, room: u32) -> Ulid {
    static LAST: Mutex<Ulid> = Mutex::new(Ulid::nil());
    let mask = (1_u128 << room) - 1;
    let at_ms = u64::try_from(now_ms).unwrap_or(0);
    let mut last = LAST.lock().unwrap_or_else(|broken| broken.into_inner());
    let fresh = Ulid::from_parts(at_ms, Ulid::generate().random() & !mask);
    let next = (u128::from(*last) | mask).checked_add(1).map(Ulid::from);
    let drawn = match next {
        Some(next)
            if last.timestamp_ms() == fresh.timestamp_ms()
                && next.timestamp_ms() == fresh.timestamp_ms() =>
        {
            next
        }
        _ => fresh,
    };
    *last = Ulid::from(u128::from(drawn) | mask);
    drawn
}

/// A number that nobody else has drawn: 80 bits of chance.
pub fn random() -> u128 {
    Ulid::generate().random()
}

/// What `get` may be given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The text as an id, canonical, if it is a whole one.
    pub id: Option<String>,
    /// The text as the start of ids, canonical, if it can be one.
    pub prefix: Option<String>,
    /// The text as a key, if it can be one.
    pub key: Option<String>,
}

/// Parses an id, a prefix of one, or a key.
pub(crate) fn parse_wanted(text: &str) -> Result<Wanted> {
    check_name("thread id or key", text)?;
    let upper = text.to_ascii_uppercase();
    let is_base32 = upper
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() && !matches!(b, b'I' | b'L' | b'O' | b'U'));
    let id = Ulid::from_string(&upper)
        .ok()
        .map(|ulid| ulid.to_string())
        .filter(|id| *id == upper);
    let prefix = (is_base32 && (ID_PREFIX_MIN..ID_CHARS).contains(&upper.len())).then_some(upper);
    let key = (text.len() <= KEY_BYTES_MAX).then(|| text.to_owned());
    if id.is_none() && prefix.is_none() && key.is_none() {
        return Err(ThreadError::LimitExceeded {
            what: "bytes of a thread's key",
            limit: KEY_BYTES_MAX as u64,
            actual: text.len() as u64,
        });
    }
    Ok(Wanted { id, prefix, key })
}

/// Refuses a key that is blank, too long, or that somebody could take for a path.
pub(crate) fn check_key(key: &str) -> Result<()> {
    check_name("key", key)?;
    within("bytes of a thread's key", KEY_BYTES_MAX, key.len())
}

/// The rule for names that people type: `org/repo#12` is one, `../etc` and `/etc` are not.
pub(crate) fn check_name(field: &'static str, text: &str) -> Result<()> {
    let rule = if text.trim().is_empty() {
        "it is blank"
    } else if text.trim() != text {
        "it begins or ends with white space"
    } else if text.chars().any(char::is_control) {
        "it has control characters"
    } else if text.contains('\\')
        || text.starts_with(['/', '~'])
        || text.split('/').any(|s| matches!(s, "" | "." | ".."))
    {
        "it looks like a path"
    } else {
        return Ok(());
    };
    Err(ThreadError::invalid(field, text, rule))
}

pub(crate) fn thread_ref(scope: &str, id: &str) -> Result<RefName> {
    Ok(RefName::new(scope, THREAD, [id])?)
}

pub(crate) fn key_ref(scope: &str, key: &str) -> Result<RefName> {
    Ok(RefName::new(scope, THREAD_KEY, [key])?)
}

pub(crate) fn failed_ref(scope: &str, id: &str) -> Result<RefName> {
    Ok(RefName::new(scope, THREAD_FAILED, [id])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_and_carry_their_time() {
        let ids: Vec<String> = (0..1000).map(|_| new_id(1_700_000_000_000)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(new_id(1_700_000_000_001) > ids[999]);
        assert_eq!(
            Ulid::from_string(&ids[0]).unwrap().timestamp_ms(),
            1_700_000_000_000
        );
        assert_eq!(Ulid::from_string(&new_id(-5)).unwrap().timestamp_ms(), 0);
    }

    #[test]
    fn ids_of_one_time_are_told_apart_by_who_made_them_together() {
        let mut all = Vec::new();
        for _ in 0..50 {
            let mut ids = Ids::new(1_700_000_000_000);
            let made: Vec<String> = (0..40).map(|_| ids.draw()).collect();
            assert!(made.iter().all(|id| are_together(id, &made[0])));
            all.push(made);
            all.push(vec![new_id(1_700_000_000_000)]);
        }
        // Others' come in between, or not: none is like those of somebody else.
        for pair in all.windows(2) {
            assert!(!are_together(&pair[0][0], &pair[1][0]));
        }
        let all: Vec<String> = all.concat();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(!are_together("", "") && !are_together("é", "é"));
        let mut many = Ids::new(1);
        let ids: Vec<String> = (0..(1 << 20) + 2).map(|_| many.draw()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn what_comes_from_outside_is_parsed() {
        let wanted = parse_wanted("01arz3ndektsv4rrffq69g5fav").unwrap();
        assert_eq!(wanted.id.as_deref(), Some("01ARZ3NDEKTSV4RRFFQ69G5FAV"));
        assert_eq!(wanted.key.as_deref(), Some("01arz3ndektsv4rrffq69g5fav"));
        assert_eq!(
            parse_wanted("01ar").unwrap().prefix.as_deref(),
            Some("01AR")
        );
        assert_eq!(parse_wanted("01a").unwrap().prefix, None);
        assert_eq!(parse_wanted("ticket-812").unwrap().prefix, None);
        assert_eq!(
            parse_wanted("org/repo#12").unwrap().key.as_deref(),
            Some("org/repo#12")
        );
        for bad in [
            "",
            " ",
            "\t",
            "a\0b",
            "../../etc/passwd",
            "/etc/passwd",
            "a/../b",
            "a//b",
            "..",
            "./a",
            "~/a",
            "C:\\a",
            " a",
            "a\n",
        ] {
            assert!(
                matches!(parse_wanted(bad), Err(ThreadError::Invalid { .. })),
                "{bad:?}"
            );
            assert!(check_key(bad).is_err(), "{bad:?}");
        }
        assert!(check_key(&"k".repeat(KEY_BYTES_MAX)).is_ok());
        assert!(matches!(
            check_key(&"k".repeat(KEY_BYTES_MAX + 1)),
            Err(ThreadError::LimitExceeded { .. })
        ));
    }
}
