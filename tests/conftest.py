"""Settings for every test."""

from hypothesis import settings

# How long an example takes says nothing on a busy machine; what is too slow is measured in benchmarks.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
