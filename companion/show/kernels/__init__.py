"""What runs on a GPU: its memories, the tiles, a kernel's programs and launches."""
