//! Keys and their threads name each other, or one of them is wrong.

use std::collections::BTreeMap;

use treering_store::{Check, RefName, Store, VerifyReport};

use super::{PAGE, Seen, of_thread};
use crate::ident::{THREAD_KEY, key_ref, thread_ref};
use crate::start::thread_of_key;

/// Checks the keys of one scope, whose threads were seen. A broken row is the store's own finding.
pub(super) fn check(store: &dyn Store, scope: &str, threads: &[Seen], report: &mut VerifyReport) {
    // By key: the thread whose record has it.
    let mut keys: BTreeMap<&str, &str> = BTreeMap::new();
    for thread in threads {
        if let Some(key) = thread
            .record
            .as_ref()
            .and_then(|record| record.key.as_deref())
        {
            keys.insert(key, &thread.id);
        }
    }
    let mut after: Option<RefName> = None;
    loop {
        let page = match store.list_refs(scope, THREAD_KEY, after.as_ref(), PAGE) {
            Ok(page) => page,
            Err(error) => return report.find(Check::Ref, scope, error.to_string()),
        };
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for (name, value) in page {
            let key = name.parts().first().map_or("", String::as_str);
            let known = keys.remove(key);
            let Ok(value) = value else { continue };
            match thread_of_key(key, &value) {
                Err(error) => report.find(Check::Record, name.encoded(), error.to_string()),
                Ok(id) if known == Some(id.as_str()) => {}
                // A record that can't be read has a finding, and says nothing of its key.
                Ok(id)
                    if threads
                        .iter()
                        .any(|seen| seen.id == id && seen.record.is_none()) => {}
                Ok(id) => {
                    let detail = format!("it names thread {id}, which does not have this key");
                    report
                        .findings
                        .push(of_thread(Check::Record, &name, detail, &id, 0));
                }
            }
        }
    }
    for (key, id) in keys {
        let Ok(name) = thread_ref(scope, id) else {
            continue;
        };
        // Listed above, or broken and told by the store.
        if key_ref(scope, key).is_ok_and(|key| !matches!(store.read_ref(&key), Ok(None))) {
            continue;
        }
        let detail = format!("its key {key:?} is not there");
        report
            .findings
            .push(of_thread(Check::Record, &name, detail, id, 0));
    }
}
