"""What the stores' own bulk writes do with rows that are ready, and nothing around them."""

import sqlite3
import time
from pathlib import Path
from typing import Final

import psycopg

__all__ = ["copy_postgres", "copy_sqlite"]

_BATCH: Final = 1_000


def copy_postgres(url: str, count: int) -> float:
    """Rows a second by COPY, a commit each thousand, into a twin of the fullest partition."""
    with psycopg.connect(url, autocommit=True) as connection:
        (leaf,) = connection.execute(
            "SELECT relid::regclass::text FROM pg_partition_tree('events') WHERE isleaf"
            " ORDER BY pg_relation_size(relid) DESC LIMIT 1"
        ).fetchone()  # type: ignore[misc]
        connection.execute("DROP TABLE IF EXISTS raw_twin")
        connection.execute(f"CREATE TABLE raw_twin (LIKE {leaf} INCLUDING ALL)")
        cursor = connection.execute(f"SELECT * FROM {leaf} LIMIT {count}")
        types = [column.type_code for column in cursor.description or []]
        rows = cursor.fetchall()
        began = time.perf_counter()
        for first in range(0, len(rows), _BATCH):
            with (
                connection.transaction(),
                connection.cursor().copy("COPY raw_twin FROM STDIN (FORMAT BINARY)") as copy,
            ):
                copy.set_types(types)
                for row in rows[first : first + _BATCH]:
                    copy.write_row(row)
        took = time.perf_counter() - began
        connection.execute("DROP TABLE raw_twin")
    return len(rows) / took


def copy_sqlite(path: Path, count: int) -> float:
    """Rows a second by executemany, a commit each thousand, into a twin of the events' table."""
    twin = path.with_name("twin.sqlite3")
    twin.unlink(missing_ok=True)
    with sqlite3.connect(path) as source:
        statements = [
            sql
            for (sql,) in source.execute(
                "SELECT sql FROM sqlite_master WHERE tbl_name = 'events' AND sql IS NOT NULL"
                " ORDER BY type DESC"
            )
        ]
        rows = source.execute(f"SELECT * FROM events LIMIT {count}").fetchall()
    connection = sqlite3.connect(twin, isolation_level=None)
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
    for statement in statements:
        connection.execute(statement)
    insert = f"INSERT INTO events VALUES ({', '.join('?' * len(rows[0]))})"
    began = time.perf_counter()
    for first in range(0, len(rows), _BATCH):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, rows[first : first + _BATCH])
        connection.execute("COMMIT")
    took = time.perf_counter() - began
    connection.close()
    return len(rows) / took
