"""Real servers for tests, each on free ports of 127.0.0.1 in a temporary folder."""
