"""A small city of made-up services at work on real brokers: something to watch.

Five scenarios, each a module: what its producers say, what its services make of it, and what
goes wrong. `city.py` runs them, `bus.py` says what they need of a broker.
"""
