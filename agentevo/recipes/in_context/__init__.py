"""Methods that learn in context: what was experienced goes into memory, and from there into prompts."""
