"""Events in one SQLite file that one process writes."""
