"""Keys that an installation makes for itself at its first start, and keeps."""

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet

__all__ = ["read_or_make_key"]


def read_or_make_key(path: Path, *, fernet: bool = False) -> str:
    """The key in the file at `path`; made there, readable by its owner alone, if there is none.

    Two processes may start at once: the link makes one of them the maker, and the other reads.
    """
    if not path.exists():
        key = Fernet.generate_key().decode() if fernet else secrets.token_urlsafe(48)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
