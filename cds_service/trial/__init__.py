"""A trial as data: its form, its kinds of rule, and the site and trial files."""
