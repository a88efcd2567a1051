"""What tells a person which link between GPU and autoscaler does not hold. Only cli imports it, for one command."""
