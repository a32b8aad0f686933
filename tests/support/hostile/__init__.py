"""Hostile servers, answers and configuration."""
