"""Delivery -> event -> stored -> settled -> announced."""
