"""Old data in: what systems of JSON files left of a user becomes a scope's stores and threads.

    import treering
    from treering.importing import import_json

    store = treering.open("state")
    report = import_json(store.scope("alice"), "old/alice", dry_run=True)

What each file must look like: docs/importing.md.
"""

from treering.importing.report import FileReport, ImportReport, Kind, Note, Outcome, What
from treering.importing.running import import_json

__all__ = ["FileReport", "ImportReport", "Kind", "Note", "Outcome", "What", "import_json"]
