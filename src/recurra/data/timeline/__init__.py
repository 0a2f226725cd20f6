"""Series over time to forecast: tables to windows."""
