"""EventHub: observe, store, find and repair events over several message brokers."""
