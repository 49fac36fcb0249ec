"""The record: the procedure as it was executed, as a page, as JSON, and as a chain that shows every changed byte."""
