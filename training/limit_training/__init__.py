"""Trains a CatBoost credit model and packs it as the model artifact that the scoring function loads.

`errors` what can go wrong and how it is told; `data` the table and the held-out rows; `encode` columns of the table
to columns of the model; `fit` CatBoost; `metrics` how good it is; `artifact` the files and their checks; `report` text.
"""
