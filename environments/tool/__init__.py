"""Environments in which an agent calls tools or writes commands."""
