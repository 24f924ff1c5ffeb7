"""One query language for live, history, alerts, API and command line.

text -> tree (`parse`), tree -> predicate on one event (`predicate`), tree -> words (`describe`).
Pure Python. Each store compiles the same tree to its SQL.
"""
