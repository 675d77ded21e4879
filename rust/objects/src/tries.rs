//! One call, tried until it succeeds, is refused for good, or its time is over.
//!
//! Promises: a call ends within `give_up` and the time of one request more, and soon after nobody waits for it any more,
//! in the middle of a request or between two. Between tries it waits, twice as long each time up to five seconds, by chance up
//! to half of it less: many that failed together don't come back together.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::pin;
use std::time::{Duration, Instant};

use treering_store::caller;
use treering_store::error::{Result, StoreError};

use crate::failure::Failure;
use crate::runtime;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a wait goes on before it is looked whether the caller still waits.
const SLICE: Duration = Duration::from_millis(50);

/// How long to go on, and in whose name.
#[derive(Clone, Debug)]
pub(crate) struct Tries {
    pub(crate) url: String,
    /// Of one request.
    pub(crate) timeout: Duration,
    /// After this no other try is made.
    pub(crate) give_up: Duration,
}

/// What a call was to do, for its error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'c> {
    pub(crate) action: &'static str,
    pub(crate) object: &'c str,
}

impl Tries {
    /// Runs `attempt` until it succeeds or `Failure` says no. Ok(Err(failure)): refused for good, for the caller to judge.
    /// Errors: `Bucket`, `Cancelled`.
    pub(crate) fn run<T, F>(
        &self,
        call: Call<'_>,
        mut attempt: impl FnMut() -> F,
    ) -> Result<std::result::Result<T, Failure>>
    where
        F: Future<Output = std::result::Result<T, Failure>>,
    {
        let runtime = runtime::here()
            .map_err(|error| self.error(call, format!("no thread for it: {error}")))?;
        let started = Instant::now();
        let mut wait = FIRST_WAIT;
        let mut tries = 0_u32;
        loop {
            tries = tries.saturating_add(1);
            // Before a request is made of it.
            caller::still_waits()?;
            let failure = match runtime.block_on(self.answer(attempt()))? {
                Err(failure) if failure.passing => failure,
                other => return Ok(other),
            };
            let pause = wait - wait.mul_f64(chance() / 2.0);
            if started.elapsed() + pause > self.give_up {
                let spent = started.elapsed().as_secs();
                let why = failure.why;
                let why = format!(
                    "{why} (tried {tries} times in {spent} s); nothing is lost: repeat it later, or let the URL say give_up=SECONDS to go on for longer"
                );
                return Err(self.error(call, why));
            }
            rest(pause)?;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// What one request came to. Errors: `Cancelled`; the connection ends then.
    async fn answer<T>(
        &self,
        attempt: impl Future<Output = std::result::Result<T, Failure>>,
    ) -> Result<std::result::Result<T, Failure>> {
        let mut answer = pin!(tokio::time::timeout(self.timeout, attempt));
        loop {
            match tokio::time::timeout(SLICE, answer.as_mut()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(_)) => {
                    let seconds = self.timeout.as_secs();
                    let why = format!("no answer within {seconds} s");
                    return Ok(Err(Failure::of_transport(why)));
                }
                Err(_) => caller::still_waits()?,
            }
        }
    }

    /// The same for a call that nothing is known to do about a refusal.
    pub(crate) fn must<T, F>(&self, call: Call<'_>, attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, Failure>>,
    {
        self.run(call, attempt)?
            .map_err(|failure| self.refused(call, failure))
    }

    pub(crate) fn refused(&self, call: Call<'_>, failure: Failure) -> StoreError {
        self.error(call, failure.why)
    }

    fn error(&self, call: Call<'_>, why: String) -> StoreError {
        StoreError::Bucket {
            action: call.action,
            object: call.object.to_owned(),
            bucket: self.url.clone(),
            why,
        }
    }
}

/// Errors: `Cancelled`.
fn rest(length: Duration) -> Result<()> {
    let end = Instant::now() + length;
    loop {
        caller::still_waits()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(SLICE));
    }
}

/// At least 0, less than 1.
fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    fn tries(give_up: u64) -> Tries {
        Tries {
            url: "s3://data".into(),
            timeout: Duration::from_secs(1),
            give_up: Duration::from_secs(give_up),
        }
    }

    const CALL: Call<'static> = Call {
        action: "read",
        object: "x",
    };

    #[test]
    fn a_passing_failure_is_tried_again_and_given_up() {
        let count = Cell::new(0);
        let answer = tries(60).must(CALL, || {
            count.set(count.get() + 1);
            let done = if count.get() == 3 {
                Ok(7)
            } else {
                Err(Failure::of_transport("cut"))
            };
            async move { done }
        });
        assert_eq!((answer.unwrap(), count.get()), (7, 3));
        count.set(0);
        let error = tries(0)
            .must(CALL, || {
                count.set(count.get() + 1);
                async { Err::<(), _>(Failure::of_transport("cut")) }
            })
            .unwrap_err();
        assert_eq!(count.get(), 1);
        assert!(error.to_string().contains("cut (tried 1 times"), "{error}");
    }

    #[test]
    fn a_permanent_failure_is_tried_once() {
        let count = Cell::new(0);
        let answer = tries(60).run(CALL, || {
            count.set(count.get() + 1);
            async {
                Err::<(), _>(Failure {
                    passing: false,
                    status: 403,
                    ..Failure::of_transport("no")
                })
            }
        });
        assert_eq!((answer.unwrap().unwrap_err().status, count.get()), (403, 1));
    }

    #[test]
    fn what_nobody_waits_for_ends() {
        let given_up = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&given_up);
        caller::unless(Arc::new(move || asked.load(SeqCst)), || {
            // In the middle of a request that never ends.
            let answer = tries(3600).must(CALL, || {
                given_up.store(true, SeqCst);
                std::future::pending::<std::result::Result<(), Failure>>()
            });
            assert!(matches!(answer, Err(StoreError::Cancelled)));
            // From then on none is made.
            let made = Cell::new(0);
            let answer = tries(3600).must(CALL, || {
                made.set(made.get() + 1);
                async { Ok(()) }
            });
            assert!(matches!(answer, Err(StoreError::Cancelled)));
            assert_eq!(made.get(), 0);
            // Between two.
            given_up.store(false, SeqCst);
            let answer = tries(3600).must(CALL, || {
                given_up.store(true, SeqCst);
                async { Err::<(), _>(Failure::of_transport("cut")) }
            });
            assert!(matches!(answer, Err(StoreError::Cancelled)));
        });
    }

    #[test]
    fn chance_is_a_fraction() {
        assert!(
            (0..1000)
                .map(|_| chance())
                .all(|it| (0.0..1.0).contains(&it))
        );
    }
}
