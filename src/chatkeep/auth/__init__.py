"""Who is asking: one file for each way to prove it."""
