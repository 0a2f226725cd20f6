"""Images and sound: single files, tables that list them, and examples for each task."""
