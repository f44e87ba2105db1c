"""Environments: where an agent acts, and what says whether it acted right."""
