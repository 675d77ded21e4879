"""Ids that look like something else: separators, escapes, names used inside, the same letters written otherwise."""

PLAIN = ["a", "b", "A", "a-b", "a.b", "0"]
SEPARATORS = ["/", "//", "a/", "/a", "a/b", "a//b", "a/b/c", "a:b", "a|b", "a\\b", "a b", " a", "a ", "-", "."]
ESCAPES = ["%", "%2F", "%2f", "%252F", "a%2Fb", "%00", "%", "%%", "%é", "~", "+", "a+b", "&", "#", "?", "\\x2f"]
PATHS = ["..", "../..", "../bob", "./a", "a/..", "/etc/passwd", "~root", "C:\\", "CON"]
CONTROL = ["\0", "a\0b", "\0a", "a\n", "a\tb", "\x1b[31m", "a\u2028b", "\u200b", "\u202ea", "\ufeffa", "\x7f"]
INSIDE = [
    *("index", "default", "main", "x-readmodel", "chat-index", "chat", "chat/a", "chat-readmodel", "user-memory"),
    *("user-memory-readmodel", "alice/user-memory/", "readmodel", "None", "null", "thread", "pin", "quarantine", "x.a"),
]
LETTERS = ["é", "e\u0301", "ﬁ", "fi", "Å", "A\u030a", "Å", "ß", "ss", "SS", "İ", "i\u0307", "ı", "а", "ａ"]
WIDE = ["\U0001f600", "\U0010ffff", "\uffff", "\U00020000", "👨‍👩‍👧", "\ud7ff", "\ue000"]
LONG = ["x" * 300, "x" * 299 + "y", "x" * 301, "\0" * 100, "\U0001f600" * 25, "%" * 100]

IDS = list(dict.fromkeys(PLAIN + SEPARATORS + ESCAPES + PATHS + CONTROL + INSIDE + LETTERS + WIDE + LONG))
"""All different, each allowed as a scope, a conversation, a room, an actor and a workflow."""
