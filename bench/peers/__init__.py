"""fastgd beside the libraries that could be used in its place: one file for each, and the tables of all."""
