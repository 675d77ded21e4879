"""Chat logs in and out: OpenAI-style conversations as threads, and threads as conversations.

import treering
from treering import chat

store = treering.open("state")
report = chat.import_file(store.threads, "conversations.json")
records = chat.export(store.threads)        # equal to the file's, value for value
"""

from treering.chat.exporting import chat_json, export, export_thread, nodes_json
from treering.chat.importing import ImportReport, Progress, import_file, import_log
from treering.chat.reading import ChatLog, Refusal, open_log

__all__ = [
    "ChatLog",
    "ImportReport",
    "Progress",
    "Refusal",
    "chat_json",
    "export",
    "export_thread",
    "import_file",
    "import_log",
    "nodes_json",
    "open_log",
]
