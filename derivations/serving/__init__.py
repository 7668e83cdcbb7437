"""What a store holds, offered over HTTP: as a package index, and as a cache."""
