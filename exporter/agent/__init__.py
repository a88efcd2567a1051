"""The composition root: wires all parts together, and runs them. Nothing but cli imports it."""
