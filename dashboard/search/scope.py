"""Which sources a query can be about: a gap of another one is no hole in its answer."""

from collections.abc import Mapping

from eventhub.events.event import Event
from eventhub.query.predicate import predicate
from eventhub.query.tree import And, Everything, Is, Node, Not, Or, Words

__all__ = ["sources_in_scope"]


def sources_in_scope(tree: Node, sources: Mapping[int, str]) -> set[int]:
    """Ids of the sources that the query does not rule out by their names alone."""
    match tree:
        case And(parts):
            return set.intersection(*(sources_in_scope(part, sources) for part in parts))
        case Or(parts):
            return set.union(*(sources_in_scope(part, sources) for part in parts))
        case Everything() | Words() | Is():
            return set(sources)
        case Not(part):
            if isinstance(part, And | Or | Not | Everything | Words | Is):
                return set(sources)
            field = part.field
        case _:
            field = tree.field
    if field != ("source",):
        return set(sources)
    test = predicate(tree, sources=sources, now=0)
    return {
        source_id
        for source_id in sources
        if test(Event(bytes(16), source_id, destination="", payload=b"", payload_size=0))
    }
