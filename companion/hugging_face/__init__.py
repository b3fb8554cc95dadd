"""Hugging Face's calling conventions: our layer and our attention in their models."""
