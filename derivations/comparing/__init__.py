"""What differs between two outputs, and why."""
