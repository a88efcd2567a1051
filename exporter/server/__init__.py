"""The HTTP server: what each path answers, and what becomes of clients that misbehave."""
