"""Device profiles: what a device is, and what runs on it."""
