"""What keeps a turn alive, apart from the HTTP response that shows it."""
