"""The works, in the order of the table. Each module has NAME, BARS, and measure(plan, results)."""

from works import bulk, copying, footprint, growth, insert, instructions, move, notes, notifying, tail

# Instructions are counted with the server stopped: last.
ALL = [move, notifying, insert, notes, growth, footprint, bulk, copying, tail, instructions]
