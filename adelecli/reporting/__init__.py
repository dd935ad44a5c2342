"""What a run or a store looks like: figures that need nothing but the numbers of a history."""
