"""The command line: flags, variables and a file become Settings, and objects are wired together."""
