"""Pictures as points: what Frechet distance and its relatives are taken over, each with a name."""
