"""Makes all that a release consists of into one folder."""
