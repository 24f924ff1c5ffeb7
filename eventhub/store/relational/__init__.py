"""Events in Django's database: PostgreSQL or SQLite."""
