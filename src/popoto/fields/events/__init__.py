"""What `EventStreamMixin` needs beside itself."""
