"""What every test of the project shares: property tests have no clock, CI machines are slow."""

from hypothesis import settings

settings.register_profile("stylepress", deadline=None)
settings.load_profile("stylepress")
