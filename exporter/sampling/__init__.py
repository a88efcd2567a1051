"""From readings to snapshots: plan, trackers, workers and their supervisor."""
