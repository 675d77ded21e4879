"""What the tests of several processes share: signals and forks are not Windows'."""

import sys

collect_ignore_glob = ["test_*.py"] if sys.platform == "win32" else []
