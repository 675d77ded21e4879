//! A closed store refuses everything, and what was queued is answered.

use std::time::Duration;

use treering_block::CidPrefix;

use super::material::{done, fresh, name, put, raw};
use super::{Backend, cases};
use crate::commit::Address;
use crate::error::StoreError;
use crate::lease::Lease;

cases!("closing":
    everything_is_refused,
    what_was_queued_is_answered,
);

fn everything_is_refused(backend: &dyn Backend) {
    let store = fresh(backend);
    done(&*store, put([raw("a")]));
    let location = store.location();
    store.close().unwrap();
    store.close().unwrap();
    let cid = raw("a").cid;
    let prefix = CidPrefix::parse(&cid.to_string()).unwrap();
    let refused = [
        ("submit", store.submit(put([raw("b")])).wait().err()),
        ("get", store.get(&cid).err()),
        ("has_many", store.has_many(&[cid]).err()),
        ("has", store.has(&cid).err()),
        ("prefix", store.prefix(&prefix, 1).err()),
        ("find", store.find(&prefix).err()),
        ("blocks", store.blocks(0, 1).err()),
        ("read_ref", store.read_ref(&name("x")).err()),
        (
            "list_refs",
            store.list_refs("main", "thread", None, 1).err(),
        ),
        ("scopes", store.scopes().err()),
        ("kinds", store.kinds("main").err()),
        (
            "receipt",
            store.receipt(&Address::Ref(name("x")), "1").err(),
        ),
        ("journal", store.journal(None, 1).err()),
        ("head", store.head().err()),
        ("watch", store.watch(0, Duration::ZERO).err()),
        ("lease_acquire", store.lease_acquire(&name("x"), "").err()),
        (
            "lease_release",
            store
                .lease_release(&Lease {
                    name: name("x"),
                    token: 1,
                })
                .err(),
        ),
        ("lease_state", store.lease_state(&name("x")).err()),
        ("verify", store.verify(None).err()),
        ("stats", store.stats().err()),
    ];
    for (verb, error) in refused {
        assert!(
            matches!(error, Some(StoreError::Closed)),
            "{verb}: {error:?}"
        );
    }
    assert_eq!(store.counters().blocks_written, 1);
    assert_eq!(store.location(), location);
    assert!(store.now_ms() > 0);
}

fn what_was_queued_is_answered(backend: &dyn Backend) {
    let store = fresh(backend);
    let tickets: Vec<_> = (0..100_u8)
        .map(|index| store.submit(put([raw([index])])))
        .collect();
    store.close().unwrap();
    let mut before_close = true;
    for ticket in tickets {
        match ticket
            .wait_for(Duration::from_secs(60))
            .expect("a queued request is answered")
        {
            Ok(_) => assert!(before_close, "requests are answered in order"),
            Err(StoreError::Closed) => before_close = false,
            Err(other) => panic!("{other:?}"),
        }
    }
}
