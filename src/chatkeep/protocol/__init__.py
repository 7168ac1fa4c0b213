"""The ChatKit side: requests in, events out."""
