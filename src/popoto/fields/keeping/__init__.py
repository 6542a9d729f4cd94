"""What fields keep beside a record: entries, families of keys, and what a commit adds."""
