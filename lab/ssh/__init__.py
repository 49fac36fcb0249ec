"""The twin's SSH side: an endpoint per server with a small shell, SFTP and the terminals between them."""
