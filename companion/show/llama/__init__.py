"""Pictures of a Llama's parts, each of one chapter: drawn from what ran."""
