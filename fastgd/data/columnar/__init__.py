"""Tables, which lie column by column, as streams of rows: Parquet, CSV, Arrow and whatever offers Arrow's C stream.

A format is a `Table` (`table.py`) that gives record batches; `chosen_columns.py` says which columns are features,
targets and weights, `arrow_columns.py` what each becomes, and `column_rows.py` has the kernel make rows of them.
"""
