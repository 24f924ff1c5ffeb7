"""Storable text: any bytes or text a broker delivers, made fit for every database column.

PostgreSQL's text has no NUL and no lone surrogates. Bytes that are not UTF-8 and NULs are
written as `\\xNN`, so that two different keys never read the same by dropping bytes.
"""

__all__ = ["storable", "text_or_bytes"]


def storable(value: str | bytes | None) -> str | None:
    """`value` as text without NUL and lone surrogates; None stays None."""
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    elif not value.isascii():
        try:
            # Bytes that an adapter carried through a text (PEP 383) are bytes again.
            value = value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:
            value = value.encode("utf-8", "backslashreplace").decode()
    return value.replace("\0", "\\x00") if "\0" in value else value


def text_or_bytes(raw: bytes) -> str | bytes:
    """Bytes that are UTF-8 as text, others as they are: both are the same bytes when encoded."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
