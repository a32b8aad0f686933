"""icdb."""
