"""Sources: what a person configured, and how their collectors fare."""
