"""What is no checkpoint, or not the one its config describes, in words."""
