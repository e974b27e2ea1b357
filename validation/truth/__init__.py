"""What is true of a NET patient, worked out from the generator's decisions alone.

This is a second opinion on the criteria, written anew from their text. It shares no code and no
table with the service, and never sees a chart.
"""
