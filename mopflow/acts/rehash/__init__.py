"""4.6.5: give root and admusr a SHA512 hash without ever locking anybody out.

`edits` and `order` are pure. `root` runs things as root on one server; `kept` is the directory of our own on it, which
says what was begun there; `checkouts` changes the three files under rcstool; `logins` sets passwords, proves them, and
puts back what was kept; `rows` is what the table of 4.6.5 asks and does. All but `rows` need no house.
"""
