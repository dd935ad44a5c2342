"""``adele bench``: any set of methods on one data set with known truth, under equal conditions, as a table.

It stands above ``pipeline``, ``training`` and ``reporting`` and below nothing but ``cli``: every training is the public ``train``, so
what is measured is what a user gets.
"""
