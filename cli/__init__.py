"""The command `mopflow`: thin, on top of everything."""
