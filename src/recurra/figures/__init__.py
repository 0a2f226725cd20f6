"""Charts, tables and HTML pages."""
