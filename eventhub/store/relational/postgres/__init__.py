"""Events in PostgreSQL: a partition for each source and day, written by COPY."""
