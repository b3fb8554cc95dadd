"""What a call makes, holds and costs: recorded while it runs, and two calls compared."""
