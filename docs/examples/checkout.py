"""A shop that sells to itself: serves on a free port, makes three requests, ends. `PRICE` changes what it answers.

The worked example of docs/testing.md: `ebpf-rec capture -o checkout.cap -- python checkout.py`.
"""

import json
import os
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PRICE = float(os.environ.get("PRICE", "12.5"))


class Shop(BaseHTTPRequestHandler):
    """Three routes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """The cart, or that all is well."""
        self.answer(200, {"items": [{"id": 7, "price": PRICE}]} if self.path == "/cart" else {"healthy": True})

    def do_POST(self):
        """Pay: what is over 13 the bank refuses."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(*((200, {"paid": PRICE}) if PRICE <= 13 else (402, {"error": "declined", "asked": PRICE})))

    def answer(self, status, value):
        """A status and a JSON body."""
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Be quiet."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = HTTPConnection(*server.server_address)
for method, path, body in (("GET", "/cart", None), ("POST", "/pay", b'{"card": "4111"}'), ("GET", "/health", None)):
    client.request(method, path, body, {"Authorization": "Bearer t0ps3cret"})
    client.getresponse().read()
client.close()
server.shutdown()
