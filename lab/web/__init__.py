"""The console of the twin: the pages of the CMP GUI and its OSSI endpoint, one application per CMP VIP."""
