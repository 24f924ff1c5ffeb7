"""Shared access signatures: who may do what.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas
"""

import base64
import hashlib
import hmac
import time
from urllib.parse import parse_qs

__all__ = ["KEYS", "rights"]

KEYS = {
    "RootManageSharedAccessKey": ("root-secret", frozenset({"Manage", "Send", "Listen"})),
    "listen": ("listen-secret", frozenset({"Listen"})),
    "send": ("send-secret", frozenset({"Send"})),
}
"""Name of a key to its secret and its rights, in all of the namespace."""


def rights(token: str) -> frozenset[str] | None:
    """What the bearer may do; None for a token that is wrong or has run out."""
    scheme, _, query = token.partition(" ")
    fields = {name: values[0] for name, values in parse_qs(query).items()}
    if scheme != "SharedAccessSignature" or not {"sr", "sig", "se", "skn"} <= fields.keys():
        return None
    if fields["skn"] not in KEYS or int(fields["se"]) < time.time():
        return None
    secret, allowed = KEYS[fields["skn"]]
    resource = next(part[3:] for part in query.split("&") if part.startswith("sr="))
    signed = hmac.new(secret.encode(), f"{resource}\n{fields['se']}".encode(), hashlib.sha256)
    right = hmac.compare_digest(base64.b64encode(signed.digest()).decode(), fields["sig"])
    return allowed if right else None
