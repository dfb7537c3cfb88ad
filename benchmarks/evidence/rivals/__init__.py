"""The same networks in engines that are not ours: what a user could choose instead."""
