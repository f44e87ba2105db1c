"""Benchmarks: comparing recipes and models; environments alone score."""
