"""PM&C beside the Policy system: its host over SSH and its GUI (4.6.2, 4.6.3.2). Only when the input names one."""
