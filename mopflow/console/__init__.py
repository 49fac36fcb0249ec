"""The CMP console: protocol, browser driver, operator driver, page labels as data."""
