"""Memory: insert, reflect and forget over a ledger and an index."""
