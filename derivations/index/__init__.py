"""Package indexes: their pages, and the client that reads them."""
