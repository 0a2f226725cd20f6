"""Long memory."""
