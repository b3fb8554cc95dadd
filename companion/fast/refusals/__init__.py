"""What the fast forms refuse, with what to do instead."""
