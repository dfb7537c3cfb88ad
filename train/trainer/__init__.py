"""The one trainer: parts, objectives, device, team, state."""
