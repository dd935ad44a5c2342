"""The review page: looking at the corrections of a store case by case, worst first, and deciding about each."""
