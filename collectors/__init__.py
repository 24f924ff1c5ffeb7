"""Everything that speaks to a broker: one folder a kind, and the supervisor of their processes."""
