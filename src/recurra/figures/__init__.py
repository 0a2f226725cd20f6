"""Charts and pieces of HTML pages."""
