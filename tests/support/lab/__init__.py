"""Labs with real clusters: what tests build, change and measure there."""
