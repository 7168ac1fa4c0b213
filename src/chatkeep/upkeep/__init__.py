"""What keeps a store in order across all users: retention, erasure, copying."""
