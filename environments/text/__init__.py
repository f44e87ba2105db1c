"""Text worlds: an agent reads what is to be seen, and writes commands."""
