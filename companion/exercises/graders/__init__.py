"""The graders: each says of an answer that it is right, or in words what is wrong."""
