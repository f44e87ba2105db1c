"""Which tasks are practised next."""
