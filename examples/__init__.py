"""Examples of popoto, each a file about one idea. Run them with `python -m examples.<name>`."""
