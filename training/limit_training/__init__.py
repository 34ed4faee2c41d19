"""Trains a CatBoost credit model and packs it as the artifact that the scoring function loads.

`options` is the command line, and `names` the names of columns in it. `training` is one training,
and calls the other modules in order. `data` reads the table and chooses the held-out rows.

`values` reads the fields of a column, and `spelling` knows numbers as people write them. `sources`
chooses the columns to train on. It asks `dates`, `identifiers`, `leaks`, `sensitive` and `bounds`
about each of them; `words` are those of a column's name. `special` are codes that stand for no
number. `encode` turns columns of the table into columns of the model.

`fit` runs CatBoost. `metrics` measures the model, `forecast` says what it will do, and `golden`
records CatBoost's own answers. `selfcheck` checks the files, and `artifact` writes them.

`report` writes the text for a person. `notices` are what a person should know, `problems` the
columns that cannot be used, and `errors` is the one form of every error.
"""
