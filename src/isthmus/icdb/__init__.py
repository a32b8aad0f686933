"""The IC databases' servers: what to run (pure), and running it."""
