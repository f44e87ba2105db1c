"""Methods about the training itself: what is trained on when, and what keeps a model from forgetting."""
