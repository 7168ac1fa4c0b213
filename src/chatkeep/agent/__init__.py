"""From one user message to events: history, run, conversion, title."""
