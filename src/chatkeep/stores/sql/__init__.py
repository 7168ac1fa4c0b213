"""Stores on SQL databases."""
