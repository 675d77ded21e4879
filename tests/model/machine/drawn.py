"""What is drawn: the values that verbs are called with."""

from hypothesis import strategies as st

SCOPES = ("main", "alice")
HOUR_MS = 3_600_000
PLAYER = st.integers(0, 2)
SCOPE = st.integers(0, 1)
ROLES = st.sampled_from(["planner", "coder", "reviewer"])
CONTENTS = st.one_of(
    st.text(max_size=8),
    st.binary(max_size=8),
    st.lists(st.integers(0, 9), max_size=3),
    st.just("long " * 2000),
)
STEPS = st.lists(st.tuples(ROLES, CONTENTS), max_size=4)
ARTIFACTS = st.dictionaries(st.sampled_from(["a.txt", "b"]), st.binary(max_size=5), max_size=2)
KEYS = st.one_of(st.none(), st.sampled_from(["k1", "k2", "k3"]))
LABELS = st.dictionaries(st.sampled_from(["team", "size"]), st.sampled_from(["a", 1, True, None]), max_size=2)
# Which of those that there are.
PICK = st.integers(0, 1_000)
# What ends a thread ends most of what can be done with it.
SELDOM = st.sampled_from([True, False, False, False])
