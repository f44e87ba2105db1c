"""Data sets of programming tasks as others publish them, read into tasks of ours."""
