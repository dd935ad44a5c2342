"""The `adele` program: it parses, makes one library call, and shows the result; nothing else in adele prints or exits."""
