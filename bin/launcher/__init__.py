"""What `bin/run` does. The standard library alone: it runs before anything is installed."""
