"""The live feed of a web process: one subscription, one hub, many screens."""
