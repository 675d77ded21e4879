"""Settings of all tests: how hypothesis searches."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# No deadline: two busy cores make any time limit a coin toss. In CI the search is the same on every run.
settings.register_profile("treering", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("treering-ci", parent=settings.get_profile("treering"), derandomize=True, print_blob=True)
settings.load_profile("treering-ci" if os.environ.get("CI") else "treering")
