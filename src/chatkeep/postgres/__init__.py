"""How a PostgreSQL server is reached, for whoever speaks to one: the URL, and connecting."""
