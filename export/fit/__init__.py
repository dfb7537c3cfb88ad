"""The search for the best student inside a latency and a drift budget, for one target."""
