"""What runs in the worker processes of text environments: engines that others wrote, behind methods of plain values."""
