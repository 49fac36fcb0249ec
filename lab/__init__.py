"""The twin: a Policy Management system on this machine, over real SSH, SFTP and HTTPS."""
