"""Logs: what is recorded, in which form, and what never is."""
