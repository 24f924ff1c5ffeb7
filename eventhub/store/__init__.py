"""Where events are kept, behind one contract for all engines."""
