"""ic_db."""
