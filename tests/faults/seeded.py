"""Bugs that are planted in a child on purpose, to see that the tests of this folder turn red for them."""

PLANT = {}


def plant(name: str) -> None:
    PLANT[name]()
