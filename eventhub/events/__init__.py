"""What an event is: its fields, its identity, its text. Pure Python, no Django, no broker."""
