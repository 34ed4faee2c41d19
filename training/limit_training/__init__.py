"""Trains a CatBoost credit model and packs it as the artifact that the scoring function loads.

`options` is the command line. `training` is one training, and calls the other modules in order.
`data` reads the table and chooses the held-out rows. `encode` turns columns of the table into
columns of the model. `fit` runs CatBoost. `metrics` measures the model, and `golden` records
CatBoost's own answers. `selfcheck` checks the files, and `artifact` writes them. `report` writes
the text for a person. `errors` is the one form of every error.
"""
