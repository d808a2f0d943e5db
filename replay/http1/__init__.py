"""HTTP/1: heads, framing, bodies, and the pairing of requests with responses (RFC 9110, RFC 9112)."""
