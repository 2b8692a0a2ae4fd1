"""Starts and ends the real servers of one checkout; see cli.py for the commands."""
