"""A token endpoint of OpenID Connect, as far as client credentials need one.

Its tokens are unsigned (RFC 7519, section 6): the node's development handler takes no others.
"""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["CLIENT", "SECRET", "endpoint"]

CLIENT, SECRET = "eventhub", "token's secret"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        expected = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            self._answer(401, {"error": "invalid_client"})
            return
        now = int(time.time())
        claims = {"sub": CLIENT, "iat": now, "exp": now + 300, "scope": "kafka"}
        token = f"{_part({'alg': 'none'})}.{_part(claims)}."
        self._answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": 300})

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the test's output is for the test."""


def _part(claims: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()


@contextmanager
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/token"
    finally:
        server.shutdown()
        server.server_close()
