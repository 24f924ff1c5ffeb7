"""Searching the history, as a page shows it: what was asked, rows, gaps, counts, matches."""
