"""Settings of every test: no time limit on a single example, since a busy machine is not a fault of the code."""

from hypothesis import settings

settings.register_profile("troth", deadline=None)
settings.load_profile("troth")
