"""One stack a lifetime."""
