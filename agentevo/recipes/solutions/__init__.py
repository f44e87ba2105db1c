"""Methods that train on solutions: the right ones among many, corrected ones, or right ones beside wrong ones."""
