"""From memory into weights."""
