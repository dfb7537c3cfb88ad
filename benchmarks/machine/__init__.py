"""The machine a measurement is taken on, before and while it runs."""
