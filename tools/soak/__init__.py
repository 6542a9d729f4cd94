"""Hours of mixed work in minutes, with faults on, and every promise looked at meanwhile."""
