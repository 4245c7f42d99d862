"""What holds for all tests."""

from hypothesis import settings

# A busy machine is no reason to fail: how long an example takes is shown by benchmarks.
settings.register_profile("vmnet", deadline=None)
settings.load_profile("vmnet")
