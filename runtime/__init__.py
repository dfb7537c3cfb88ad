"""From a bundle to frames on this device; never imports torch."""
