//! A thread that goes into quarantine takes the refs along that are nothing without it: its key and its
//! failure. The store knows refs; that these belong together is known here.

use treering_store::{Quarantined, RefName, Result, Store};

use crate::ident::{THREAD, THREAD_KEY, failed_ref};
use crate::start::thread_of_key;

const PAGE: usize = 1000;

/// [`Store::quarantine`] of a ref, and of what belongs to it if it is a thread's. O(keys of the scope) then.
///
/// # Errors
/// Those of [`Store::quarantine`].
pub fn quarantine(store: &dyn Store, name: &str) -> Result<Quarantined> {
    let mut names = vec![name.to_owned()];
    if let Ok(thread) = RefName::parse(name)
        && thread.kind() == THREAD
        && let Some(id) = thread.parts().first()
    {
        names.extend(of_thread(store, thread.scope(), id)?);
    }
    store.quarantine(&names)
}

/// The key and the failure of a thread, by the refs themselves: its own record may be what is broken.
fn of_thread(store: &dyn Store, scope: &str, id: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    if let Ok(failed) = failed_ref(scope, id)
        && !matches!(store.read_ref(&failed), Ok(None))
    {
        names.push(failed.encoded().to_owned());
    }
    let mut after: Option<RefName> = None;
    loop {
        let page = store.list_refs(scope, THREAD_KEY, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(names);
        };
        after = Some(last.clone());
        for (name, value) in page {
            let key = name.parts().first().map_or("", String::as_str);
            let ours = value
                .is_ok_and(|value| thread_of_key(key, &value).is_ok_and(|thread| thread == id));
            if ours {
                names.push(name.encoded().to_owned());
            }
        }
    }
}
