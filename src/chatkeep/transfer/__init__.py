"""Conversations on their way out of a store, for people and other programs, and back in."""
