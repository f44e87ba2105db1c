"""Programming tasks whose solutions run in the sandbox, and whose hidden tests score."""
