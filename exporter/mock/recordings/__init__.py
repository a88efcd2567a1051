"""What real GPUs answered over time, to be replayed."""
