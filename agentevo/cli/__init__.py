"""The command line: one file a command group, and the only place that joins all parts."""
