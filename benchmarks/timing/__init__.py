"""How long systems take: in turns, beside baselines, on a machine that is written down."""
