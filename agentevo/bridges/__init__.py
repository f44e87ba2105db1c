"""Bridges to other frameworks: here, and nowhere else, do the names of the field appear."""
